"""What the demo requests, and what must come of it: worked out here from the request alone, before anything runs."""

from dataclasses import dataclass
from datetime import date, timedelta

ORDERS, REPORTS = 300, 60

DONE = ("complete", 1)  # state and attempts of a step
NEVER = ("pending", 0)


@dataclass
class Job:
    """One request, and how it must end."""

    key: str  # tells the job from others of its kind; stands in the context
    context: dict
    kind: str  # good, busy, declined, gone; good, empty
    state: str  # of the task in the end
    steps: dict  # name -> (state, attempts)


def orders():
    return [order(number) for number in range(1, ORDERS + 1)]


def order(number):
    kind, token = order_kind(number)
    sku = "GONE-9" if kind == "gone" else f"LAMP-{number % 7}"
    key = f"A-{number:05}"
    context = {
        "order_id": key,
        "items": [
            {"sku": sku, "quantity": 1 + number % 3, "unit_price_cents": 1900 + number},
            {"sku": f"BULB-{number % 4}", "quantity": 2, "unit_price_cents": 450},
        ],
        "payment": {"token": token},
    }
    return Job(key, context, kind, "error" if kind in ("declined", "gone") else "complete", order_steps(kind))


def order_kind(number):
    if number % 15 == 3:
        return "declined", "tok_declined"
    if number % 30 == 7:
        return "gone", "tok_visa"
    if number % 8 == 5:
        return "busy", f"tok_busy_{1 + number % 2}"  # 429, Retry-After: 1 or 2 seconds
    return "good", "tok_visa"


def order_steps(kind):
    steps = {"validate_order": DONE, "reserve_inventory": DONE, "process_payment": DONE, "ship_order": DONE}
    if kind == "gone":
        return steps | {"reserve_inventory": ("error", 1), "process_payment": NEVER, "ship_order": NEVER}
    if kind == "declined":
        return steps | {"process_payment": ("error", 1), "ship_order": NEVER}
    if kind == "busy":
        return steps | {"process_payment": ("complete", 2)}
    return steps


def order_total(context):
    return sum(item["quantity"] * item["unit_price_cents"] for item in context["items"])


def reports():
    """One for each of 57 days that shop.sql fills, and three for days on which nothing was sold."""
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(REPORTS - 3)]
    empty = [date(2027, 1, 1) + timedelta(days=number) for number in range(3)]
    return [report(day, True) for day in days] + [report(day, False) for day in empty]


def report(day, good):
    steps = dict.fromkeys(("extract", "transform_totals", "transform_regions", "load"), DONE if good else NEVER)
    if not good:
        steps["extract"] = ("error", 1)
    return Job(day.isoformat(), {"day": day.isoformat()}, "good" if good else "empty", "complete" if good else "error", steps)
