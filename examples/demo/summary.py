"""The end of the demo: the numbers, one task's graph, one task's history."""

NUMBERS = """
select tt.name, count(*),
       count(*) filter (where t.state = 'complete'), count(*) filter (where t.state = 'error'),
       count(*) filter (where t.state not in ('complete', 'error')),
       percentile_cont(array[0.5, 0.95, 1]) within group (order by extract(epoch from t.finished_at - t.created_at))
from tasker.tasks t join tasker.task_templates tt using (template_id)
group by tt.name order by tt.name"""
STEPS = """
select count(*), count(*) filter (where state = 'complete'), count(*) filter (where state = 'error'),
       count(*) filter (where attempts = 0), sum(attempts), sum(greatest(attempts - 1, 0))
from tasker.steps"""
SPAN = "select extract(epoch from max(finished_at) - min(created_at))::float from tasker.tasks"
NODES = """
select ts.step_index, ts.level, ts.name, s.state, s.attempts
from tasker.tasks t
join tasker.template_steps ts using (template_id)
left join tasker.steps s on s.task_id = t.task_id and s.template_step_id = ts.template_step_id
where t.task_id = %s order by ts.level, ts.step_index"""
# What one pass did has one time, that of its beginning: a task starts before its steps and ends after them. It may find a
# request that came a moment later; first comes the request all the same.
HISTORY = """
select max(h.created_at) over line, h.what, h.attempt, coalesce(h.from_state, '-') || ' -> ' || h.to_state,
       coalesce(h.metadata #>> '{error,message}', '')
from (
  select tr.created_at, 'task' as what, null::integer as attempt, tr.from_state, tr.to_state, tr.metadata,
         case when tr.to_state in ('pending', 'in_progress') then 0 else 2 end as place, tr.task_transition_id as id
  from tasker.task_transitions tr where tr.task_id = %(task)s
  union all
  select tr.created_at, ts.name, tr.attempt, tr.from_state, tr.to_state, tr.metadata, 1, tr.step_transition_id
  from tasker.steps s
  join tasker.template_steps ts using (template_step_id)
  join tasker.step_transitions tr on tr.step_id = s.step_id
  where s.task_id = %(task)s
) h
window line as (order by h.from_state is not null, h.created_at, h.place, h.id)
order by h.from_state is not null, h.created_at, h.place, h.id"""


def numbers(db):
    print(f"  {'':<16}{'tasks':>7}{'complete':>10}{'error':>8}{'other':>8}   duration: median, 95 %, longest")
    for name, tasks, complete, error, other, (median, most, longest) in db.execute(NUMBERS):
        print(f"  {name:<16}{tasks:>7}{complete:>10}{error:>8}{other:>8}   {median:.2f} s, {most:.2f} s, {longest:.2f} s")
    total, complete, error, never, attempts, retries = db.execute(STEPS).fetchone()
    seconds = db.execute(SPAN).fetchone()[0]
    print(f"\n  {total} steps: {complete} complete, {error} in error, {never} never reached behind those")
    print(f"  {attempts} attempts, {retries} of them retries")
    print(f"  {seconds:.1f} s from the first request to the last end: {attempts / seconds:.0f} attempts/s with these workers")


def graph(db, task_id):
    """The steps of a task as boxes, level by level, then the same as mermaid text."""
    levels = {}
    for _, level, name, state, attempts in db.execute(NODES, (task_id,)):
        note = f"{state}, {attempts} attempts" if attempts and attempts > 1 else state or "pending"
        levels.setdefault(level, []).append((name, note))
    previous = None
    for level in sorted(levels):
        lines, centers, width = boxes(levels[level])
        if previous:
            print("\n".join(connectors(previous, (centers, width))))
        print("\n".join(" " * ((72 - width) // 2) + line for line in lines))
        previous = (centers, width)
    print("\n" + db.execute("select tasker.task_graph(%s, 'mermaid')", (task_id,)).fetchone()[0].rstrip())


def boxes(nodes):
    parts, centers, width = [], [], 0
    for name, note in nodes:
        inner = max(len(name), len(note))
        edge = "+" + "-" * (inner + 2) + "+"
        parts.append([edge, f"| {name:^{inner}} |", f"| {note:^{inner}} |", edge])
        width += 3 if centers else 0
        centers.append(width + len(edge) // 2)
        width += len(edge)
    return ["   ".join(part[row] for part in parts) for row in range(4)], centers, width


def connectors(above, below):
    """Lines from all boxes of a level to all boxes of the next: what the demo's templates look like."""
    tops, bottoms = ([(72 - width) // 2 + center for center in centers] for centers, width in (above, below))
    stems = ["".join("|" if column in ends else " " for column in range(73)).rstrip() for ends in (tops, bottoms)]
    if len(tops) == len(bottoms) == 1:
        return stems[:1]
    first, last = min(tops + bottoms), max(tops + bottoms)
    bar = " " * first + "".join("+" if c in tops + bottoms else "-" for c in range(first, last + 1))
    return [stems[0], bar, stems[1]]


def history(db, task_id):
    first = None
    for at, what, attempt, change, error in db.execute(HISTORY, {"task": task_id}):
        first = first or at
        number = f"attempt {attempt}" if attempt else ""
        print(f"  {(at - first).total_seconds():>7.3f} s  {what:<18}{number:<11}{change}{error and f': {error}'}")
