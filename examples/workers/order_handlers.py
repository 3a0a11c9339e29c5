"""Handlers of examples/templates/order_fulfillment.yaml.

A handler is `handler(task, sequence, step)`; it returns the step's results or raises.

    task      {"task_id", "tags", "initiator", "context"}
    sequence  {"name of a parent": its results}
    step      {"step_id", "name", "attempt", "handler", ...}; step["handler"]["initialization"] is from the template

The services behind them are played here: so that a run can be foreseen, what they answer depends on nothing but
the order and the attempt.
"""

import time

from failure import Failure

SERVICE_SECONDS = 0.008  # what a call to one of the services takes


def validate_order(task, sequence, step):
    order = task["context"]
    total = sum(item["quantity"] * item["unit_price_cents"] for item in order["items"])
    limit = step["handler"]["initialization"]["max_total_cents"]
    if total > limit:
        raise Failure(f"order of {total} cents is over the limit of {limit}", retryable=False)
    return {"total_cents": total, "currency": order["currency"], "lines": len(order["items"])}


def reserve_inventory(task, sequence, step):
    time.sleep(SERVICE_SECONDS)
    order = task["context"]
    missing = [item["sku"] for item in order["items"] if item["sku"].startswith("GONE-")]
    if missing:
        raise Failure(f"out of stock: {', '.join(missing)}", retryable=False)
    # A step sees the results of its own parents only: what later steps need is handed on.
    return {
        "reservation_id": f"R-{step['step_id']}",
        "warehouse": step["handler"]["initialization"]["warehouse"],
        "total_cents": sequence["validate_order"]["total_cents"],
    }


def process_payment(task, sequence, step):
    amount = sequence["reserve_inventory"]["total_cents"]
    # At least once: a second run of the same step must not charge twice. The step is the key, not the attempt.
    status, headers, body = charge(task["context"]["payment"]["token"], amount, f"step-{step['step_id']}", step["attempt"])
    if status == 429:
        raise Failure("the payment gateway is busy", status_code=status, headers=headers)
    if status == 402:
        raise Failure(body["reason"], status_code=status, retryable=False)
    return {"charge_id": body["charge_id"], "amount_cents": amount, "currency": task["context"]["currency"]}


def charge(token, amount, idempotency_key, attempt):
    """The payment gateway. `tok_busy_2` is told to come back in 2 s, once; `tok_declined` has no money."""
    time.sleep(SERVICE_SECONDS)
    if token == "tok_declined":
        return 402, {}, {"reason": "card declined"}
    if token.startswith("tok_busy_") and attempt == 1:
        return 429, {"retry-after": token.removeprefix("tok_busy_")}, {}
    return 200, {}, {"charge_id": f"ch-{idempotency_key}", "amount": amount}


def ship_order(task, sequence, step):
    time.sleep(SERVICE_SECONDS)
    how = step["handler"]["initialization"]
    return {
        "tracking_number": f"{how['carrier']}-{task['context']['order_id']}",
        "carrier": how["carrier"],
        "paid_cents": sequence["process_payment"]["amount_cents"],
    }


HANDLERS = {
    "orders.validate": validate_order,
    "orders.reserve": reserve_inventory,
    "orders.charge": process_payment,
    "orders.ship": ship_order,
}
