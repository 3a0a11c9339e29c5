use super::*;

const QUEUE: Key = Key { database: 5, file: 16_384, filter: 0 };
const SECOND: i64 = 1_000_000;

/// A look at `now` that took `took` and found this.
fn look(marks: &mut Marks, now: i64, took: i64, found: Option<(i64, i64)>) -> Look {
    let look = marks.begin(QUEUE, now);
    marks.end(&look, found, now + took);
    look
}

/// Marks of a queue whose first 100,000 messages are gone, just after a sweep that took `took`.
fn busy(now: i64, took: i64) -> Marks {
    let mut marks = Marks::EMPTY;
    look(&mut marks, now - took - 1, 1, Some((100_000, 100_099)));
    let sweep = look(&mut marks, now - took, took, Some((100_100, 100_199)));
    assert_eq!((sweep.aim, sweep.after, sweep.is_open()), (Aim::Missed, 0, true));
    marks
}

#[test]
fn a_look_begins_so_far_behind_what_was_found() {
    let mut marks = busy(SECOND, 100);
    let next = look(&mut marks, SECOND, 10, Some((100_200, 100_299)));
    assert_eq!((next.aim, next.after, next.is_open()), (Aim::New, 98_100, true));
    assert_eq!(look(&mut marks, SECOND + 10, 10, None).after, 98_200);
    assert_eq!(look(&mut marks, SECOND + 20, 10, None).after, 98_200, "nothing found, nothing known");
}

#[test]
fn a_look_passes_by_what_has_gone() {
    let mut marks = busy(SECOND, 100);
    let first_left = |marks: &mut Marks, found| look(marks, SECOND, 1, Some((found, found + 99))).after;
    assert_eq!(first_left(&mut marks, 100_200), 98_100);
    marks.remove(QUEUE, &(98_201..=100_000).collect::<Vec<_>>());
    assert_eq!(first_left(&mut marks, 100_300), 100_000);
    // Somebody has drawn ids and not committed yet.
    marks.remove(QUEUE, &(100_101..=100_400).collect::<Vec<_>>());
    assert_eq!(first_left(&mut marks, 100_500), 100_000);
    marks.remove(QUEUE, &(100_001..=100_100).collect::<Vec<_>>());
    assert_eq!(first_left(&mut marks, 110_000), 100_400);
    assert_eq!(first_left(&mut marks, 110_100), 108_000, "of these nobody has said that they are gone");
}

#[test]
fn what_comes_late_is_looked_at_at_once() {
    let mut marks = busy(SECOND, 100);
    marks.appear(QUEUE, (98_101, 98_200));
    assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::New, "it is above the mark");
    marks.appear(QUEUE, (800, 899));
    marks.appear(QUEUE, (700, 719));
    assert_eq!(marks.due_in(QUEUE, SECOND), Some(0));
    let mut reads = |found| {
        let look = look(&mut marks, SECOND, 0, found);
        assert!(!look.is_open(), "others lie above the mark");
        (look.aim, look.after, look.upto)
    };
    assert_eq!(reads(Some((700, 719))), (Aim::Late, 699, 899));
    assert_eq!(reads(Some((800, 849))), (Aim::Late, 719, 899));
    assert_eq!(reads(Some((850, 899))), (Aim::Late, 849, 899));
    assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::New, "that was all");
}

#[test]
fn what_comes_late_is_looked_for_in_slices() {
    let mut marks = busy(SECOND, 100_000);
    marks.appear(QUEUE, (1, 200_000));
    assert_eq!(marks.0[index(QUEUE)].later, (1, 98_100), "others lie above the mark");
    let first = look(&mut marks, SECOND, 10 * LONG, None);
    assert_eq!((first.aim, first.after), (Aim::Late, 0));
    let rest = HELD_REST_FACTOR * 10 * LONG;
    assert_eq!(marks.due_in(QUEUE, SECOND + 10 * LONG), Some(rest.min(REST_FACTOR * 100_000)));
    let second = look(&mut marks, SECOND + 10 * LONG + rest, LONG, None);
    assert_eq!((second.aim, second.after), (Aim::Late, first.upto));
    assert!(second.upto - second.after < first.upto - first.after);
}

#[test]
fn who_comes_while_somebody_looks_is_not_lost() {
    let mut marks = busy(SECOND, 100);
    marks.appear(QUEUE, (800, 899));
    let open = marks.begin(QUEUE, SECOND);
    marks.appear(QUEUE, (700, 719));
    marks.appear(QUEUE, (810, 820));
    marks.end(&open, None, SECOND);
    let next = look(&mut marks, SECOND, 1, None);
    assert_eq!(
        (next.aim, next.after, next.upto),
        (Aim::Late, 699, 820),
        "also what lies among what has just been read"
    );
}

#[test]
fn what_was_put_off_is_not_forgotten_for_what_comes_late() {
    let mut marks = busy(SECOND, 100);
    marks.hold(QUEUE, 80_000, SECOND + 50_000);
    marks.appear(QUEUE, (70_000, 70_000));
    assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::Late);
    let held = look(&mut marks, SECOND + 50_000, 1, None);
    assert_eq!((held.aim, held.after), (Aim::Held, 79_999));
}

#[test]
fn what_a_look_has_left_is_found_by_the_next_one() {
    let mut marks = busy(SECOND, 100);
    marks.hold(QUEUE, 500, SECOND);
    for now in [SECOND, SECOND + 1000] {
        let held = look(&mut marks, now, 400, Some((500, 599)));
        assert_eq!((held.aim, held.after, held.is_open()), (Aim::Held, 499, true));
        marks.again(QUEUE, 500, now + 400);
    }
    assert_eq!(look(&mut marks, SECOND + 1400, 1, Some((500, 599))).after, 499);
    assert_eq!(look(&mut marks, SECOND + 1401, 1, None).aim, Aim::New);
}

#[test]
fn a_short_queue_has_no_mark() {
    let mut marks = Marks::EMPTY;
    look(&mut marks, 1, 1, Some((1, LAG)));
    assert_eq!(look(&mut marks, 2, 1, None).after, 0);
    assert_eq!(marks.due_in(QUEUE, 3), None, "there is nothing to be missed");
}

#[test]
fn what_was_missed_is_looked_for_after_a_quarter_of_a_second() {
    let mut marks = busy(SECOND, 100);
    assert_eq!(marks.due_in(QUEUE, SECOND), Some(REST));
    assert_eq!(look(&mut marks, SECOND + REST - 1, 1, None).aim, Aim::New);
    let sweep = look(&mut marks, SECOND + REST, 1000, Some((17, 17)));
    assert_eq!((sweep.aim, sweep.after), (Aim::Missed, 0));
    let rest = look(&mut marks, SECOND + REST + 1000, 100, Some((100_300, 100_399)));
    assert_eq!((rest.aim, rest.after), (Aim::Missed, 17), "more may lie behind it");
    assert_eq!(look(&mut marks, SECOND + REST + 2000, 1, None).aim, Aim::New);
}

#[test]
fn only_one_session_sweeps() {
    let mut marks = busy(SECOND, 100);
    assert_eq!(marks.begin(QUEUE, SECOND + REST).aim, Aim::Missed);
    assert_eq!(marks.begin(QUEUE, SECOND + REST).aim, Aim::New);
}

#[test]
fn a_long_walk_is_cut_into_slices_and_rested_from() {
    let mut marks = busy(SECOND, 100_000);
    assert_eq!(marks.due_in(QUEUE, SECOND), Some(REST_FACTOR * 100_000));
    let (mut now, mut after) = (SECOND, 0);
    for _ in 0..100 {
        now += marks.due_in(QUEUE, now).expect("there is a mark");
        let slice = marks.begin(QUEUE, now);
        assert_eq!((slice.aim, slice.after), (Aim::Missed, after));
        // A microsecond an id, as the first walk has shown.
        let width = slice.upto.min(98_100) - slice.after;
        assert!(width <= 2 * LONG, "{width}");
        marks.end(&slice, None, now + width);
        after = slice.upto;
        if slice.is_open() {
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_clean_and_empty_queue_loses_its_mark() {
    let mut marks = busy(SECOND, 100);
    look(&mut marks, SECOND + REST, CHEAP, None);
    assert_eq!(marks.due_in(QUEUE, SECOND + REST), None);
    assert_eq!(look(&mut marks, SECOND + REST, 1, None).after, 0);
}

#[test]
fn what_was_put_off_is_looked_at_when_it_is_due() {
    let mut marks = busy(SECOND, 100);
    marks.hold(QUEUE, 90_000, SECOND + 50_000);
    marks.hold(QUEUE, 80_000, SECOND + 60_000);
    assert_eq!(look(&mut marks, SECOND + 49_999, 1, None).aim, Aim::New);
    let held = look(&mut marks, SECOND + 50_000, 5_000, None);
    assert_eq!((held.aim, held.after), (Aim::Held, 79_999));
    marks.hold(QUEUE, 80_000, SECOND + 55_000);
    assert_eq!(look(&mut marks, SECOND + 60_000, 1, None).aim, Aim::New, "rests 20 times what it took");
    assert_eq!(look(&mut marks, SECOND + 155_000, 1, None).aim, Aim::Held);
}

#[test]
fn a_clock_that_was_turned_back_stops_nothing() {
    let mut marks = busy(3600 * SECOND, 100);
    assert_eq!(marks.due_in(QUEUE, SECOND), Some(0));
    assert_eq!(look(&mut marks, SECOND, 1, None).aim, Aim::Missed);
}

#[test]
fn who_takes_a_place_begins_anew() {
    let mut marks = busy(SECOND, 100);
    let other = (0..).map(|filter| Key { filter, ..QUEUE }).find(|key| *key != QUEUE && index(*key) == index(QUEUE));
    let other = other.expect("some key falls upon the same place");
    let open = marks.begin(QUEUE, SECOND);
    assert_eq!(marks.begin(other, SECOND).after, 0);
    marks.end(&open, Some((200_000, 200_001)), SECOND);
    marks.hold(QUEUE, 7, SECOND);
    assert_eq!(marks.due_in(other, SECOND), None, "the one before has no say");
    assert_eq!(marks.begin(QUEUE, SECOND).after, 0);
}
