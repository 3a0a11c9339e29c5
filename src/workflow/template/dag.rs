//! The graph of a template, as the list of each step's parents. Everything is linear in steps and dependencies.

/// For every step the indexes of the steps that it depends on.
pub type Parents = [Vec<usize>];

/// The level of every step, the length of the longest path from a root, or nothing when there is a cycle.
pub fn levels(parents: &Parents) -> Option<Vec<usize>> {
    let children = children(parents);
    let mut remaining: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..parents.len()).filter(|&step| remaining[step] == 0).collect();
    let mut levels = vec![0; parents.len()];
    let mut placed = 0;
    while let Some(step) = ready.pop() {
        placed += 1;
        for &child in &children[step] {
            levels[child] = levels[child].max(levels[step] + 1);
            remaining[child] -= 1;
            if remaining[child] == 0 {
                ready.push(child);
            }
        }
    }
    (placed == parents.len()).then_some(levels)
}

/// One cycle for each group of steps that can reach each other: the shortest one through the group's first step, in
/// the order of execution, that step standing at both ends. A step that depends on itself alone is not a group.
pub fn cycles(parents: &Parents) -> Vec<Vec<usize>> {
    let children = children(parents);
    let group = groups(parents, &children);
    let mut first = vec![usize::MAX; parents.len()];
    let mut size = vec![0; parents.len()];
    for (step, &group) in group.iter().enumerate() {
        first[group] = first[group].min(step);
        size[group] += 1;
    }
    let mut before = vec![usize::MAX; parents.len()];
    let mut starts: Vec<usize> =
        (0..parents.len()).filter(|&group| size[group] > 1).map(|group| first[group]).collect();
    starts.sort_unstable();
    starts.into_iter().map(|start| cycle_through(start, &children, &group, &mut before)).collect()
}

fn children(parents: &Parents) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); parents.len()];
    for (step, parents) in parents.iter().enumerate() {
        parents.iter().for_each(|&parent| children[parent].push(step));
    }
    children
}

/// Strongly connected components (Kosaraju): the number of its group for every step.
fn groups(parents: &Parents, children: &[Vec<usize>]) -> Vec<usize> {
    let mut group = vec![usize::MAX; parents.len()];
    let mut groups = 0;
    for root in finishing_order(children).into_iter().rev() {
        if group[root] != usize::MAX {
            continue;
        }
        group[root] = groups;
        let mut reached = vec![root];
        while let Some(step) = reached.pop() {
            for &parent in parents[step].iter().filter(|&&parent| group[parent] == usize::MAX).collect::<Vec<_>>() {
                group[parent] = groups;
                reached.push(parent);
            }
        }
        groups += 1;
    }
    group
}

/// All steps in the order in which a depth-first walk leaves them.
fn finishing_order(children: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; children.len()];
    let mut order = Vec::with_capacity(children.len());
    for root in 0..children.len() {
        let mut stack = if seen[root] { vec![] } else { vec![(root, 0)] };
        seen[root] = true;
        while let Some((step, next)) = stack.pop() {
            let Some(&child) = children[step].get(next) else {
                order.push(step);
                continue;
            };
            stack.push((step, next + 1));
            if !std::mem::replace(&mut seen[child], true) {
                stack.push((child, 0));
            }
        }
    }
    order
}

/// Breadth first from `start` through its group until it comes back. `before` is shared: groups do not overlap.
fn cycle_through(start: usize, children: &[Vec<usize>], group: &[usize], before: &mut [usize]) -> Vec<usize> {
    let mut wave = std::collections::VecDeque::from([start]);
    while let Some(step) = wave.pop_front() {
        for &child in children[step].iter().filter(|&&child| group[child] == group[start]) {
            if child == start && step != start {
                return walk_back(start, step, before);
            }
            if child != start && before[child] == usize::MAX {
                before[child] = step;
                wave.push_back(child);
            }
        }
    }
    vec![start, start]
}

fn walk_back(start: usize, last: usize, before: &[usize]) -> Vec<usize> {
    let mut cycle = vec![start, last];
    let mut step = last;
    while step != start {
        step = before[step];
        cycle.push(step);
    }
    cycle.reverse();
    cycle
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_level_is_the_longest_path_from_a_root() {
        let diamond_with_a_long_side = [vec![], vec![0], vec![0], vec![1], vec![2, 3], vec![]];
        assert_eq!(levels(&diamond_with_a_long_side), Some(vec![0, 1, 1, 2, 3, 0]));
    }

    #[test]
    fn a_cycle_runs_in_the_order_of_execution() {
        assert_eq!(cycles(&[vec![2], vec![0], vec![1]]), [vec![0, 1, 2, 0]]);
    }

    #[test]
    fn every_group_is_reported_once() {
        let parents = [vec![1], vec![0], vec![1, 3], vec![2, 4], vec![3], vec![4, 5]];
        assert_eq!(cycles(&parents), [vec![0, 1, 0], vec![2, 3, 2]]);
    }

    #[test]
    fn a_cycle_of_a_hundred_thousand_steps_needs_no_stack() {
        let steps = 100_000;
        let parents: Vec<_> = (0..steps).map(|step| vec![(step + steps - 1) % steps]).collect();
        assert_eq!(cycles(&parents)[0].len(), steps + 1);
        assert_eq!(levels(&parents), None);
    }

    fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
        (2..12usize).prop_flat_map(|n| {
            let edges = prop::collection::btree_set(0..n, 0..4.min(n));
            prop::collection::vec(edges.prop_map(|set| set.into_iter().collect::<Vec<_>>()), n)
        })
    }

    proptest! {
        #[test]
        fn either_levels_or_cycles(mut parents in graphs()) {
            parents.iter_mut().enumerate().for_each(|(step, parents)| parents.retain(|&parent| parent != step));
            let cycles = cycles(&parents);
            match levels(&parents) {
                Some(levels) => {
                    prop_assert!(cycles.is_empty());
                    for (step, parents) in parents.iter().enumerate() {
                        let expected = parents.iter().map(|&parent| levels[parent] + 1).max().unwrap_or(0);
                        prop_assert_eq!(levels[step], expected);
                    }
                }
                None => prop_assert!(!cycles.is_empty()),
            }
            for cycle in cycles {
                prop_assert!(cycle.windows(2).all(|pair| parents[pair[1]].contains(&pair[0])));
                prop_assert_eq!(cycle.first(), cycle.last());
            }
        }
    }
}
