//! Plays a plan against the model and the database, and says where they first differ.

use crate::compare::{Check, same};
use crate::database::{Answer, Database};
use crate::model::{At, Model, TaskState};
use crate::pass::Passed;
use crate::plan::{Action, How, Only, Outcome, Pick, Plan};
use crate::workers::Attempt;

/// How many rounds it may take until nothing is left to do.
const ROUNDS_TO_THE_END: usize = 300;

pub struct Game<'a> {
    pub database: &'a mut Database,
    pub model: Model,
    pub namespace: String,
    /// The database's ids of the model's tasks.
    pub task_ids: Vec<i64>,
    /// All attempts that workers were given, in that order.
    pub given: Vec<Attempt>,
    /// Numbers for results, each used once.
    pub values: u32,
    /// What the last pass did.
    pub passed: Passed,
    /// What has been played, to be read by people.
    pub log: Vec<String>,
}

/// Plays a plan. Returns what was played, and the first difference.
pub fn play(database: &mut Database, plan: &Plan) -> (Vec<String>, Check) {
    let mut game = Game::new(database, plan);
    let check = game.play(plan);
    game.database.end_game();
    (game.log, check)
}

impl<'a> Game<'a> {
    fn new(database: &'a mut Database, plan: &Plan) -> Game<'a> {
        let namespace = database.begin_game(plan.limit);
        let model = Model::new(plan.templates.clone(), plan.limit);
        Game {
            database,
            model,
            namespace,
            task_ids: Vec::new(),
            given: Vec::new(),
            values: 0,
            passed: Passed::default(),
            log: Vec::new(),
        }
    }

    fn play(&mut self, plan: &Plan) -> Check {
        for (number, template) in plan.templates.iter().enumerate() {
            let definition = template.definition(&self.namespace, &format!("t{number}"));
            self.database.run(&format!("select tasker.register_template('{definition}'::jsonb)"));
        }
        self.database.prepare_snapshot(plan.templates.iter().any(|template| template.events));
        for action in &plan.actions {
            self.act(action)?;
            if !matches!(action, Action::Pass(_)) {
                self.compare()?;
            }
        }
        self.finish()
    }

    fn act(&mut self, action: &Action) -> Check {
        match action {
            Action::Request { .. } => self.request(action),
            Action::Pass(batch) => self.pass(*batch),
            Action::Advance(by) => self.advance(self.model.now + by),
            Action::AdvanceToNext => self.model.next_due().map_or(Ok(()), |due| self.advance(due)),
            Action::Pop => self.fill().and_then(|()| self.pop()),
            Action::Read(times) => self.fill().and_then(|()| (0..*times).try_for_each(|_| self.read())),
            Action::Delete(pick) => self.delete(*pick),
            Action::Poll { quantity, lease, only } => self.fill().and_then(|()| self.poll(*quantity, *lease, *only)),
            Action::Report { who, stale, how, outcome } => {
                self.take_one(*how)?;
                self.attempt(*who, *stale).map_or(Ok(()), |attempt| self.report(attempt, *how, *outcome))
            }
            Action::ReportMany { who, stale, outcome } => {
                self.take_one(How::Function)?;
                self.report_many(self.attempts(who, *stale), *outcome)
            }
            Action::Exchange { who, stale, outcome, take } => {
                self.take_one(How::Function)?;
                self.exchange(self.attempts(who, *stale), *outcome, *take)
            }
            Action::Extend { who, stale, lease } => {
                self.attempt(*who, *stale).map_or(Ok(()), |attempt| self.extend(attempt, *lease))
            }
            Action::Release { who, stale } => self.release(self.attempts(who, *stale)),
            Action::Cancel(pick) => self.cancel(*pick),
            Action::RetryStep(pick) => self.retry_step(*pick),
            Action::ResolveStep(pick) => self.resolve_step(*pick),
            Action::RetryTask(pick) => self.retry_task(*pick),
            Action::Pause => self.pause(true),
            Action::Resume => self.pause(false),
            Action::Limit(limit) => self.limit(*limit),
            Action::Purge => self.purge(),
            Action::ResolveDeadLetter(pick) => self.resolve_dead_letter(*pick),
            Action::Claim { by, most } => self.claim_ready_tasks(*by, *most),
            Action::ExtendClaim { by, of } => self.extend_claim(*by, *of),
            Action::ReleaseClaim { by, of } => self.release_claim(*by, *of),
            Action::EnqueueReadySteps(pick) => self.enqueue_ready_steps(*pick),
            Action::SendBad(queue, which) => self.send_bad(*queue, *which),
            Action::Requeue(pick) => self.requeue(*pick),
            Action::Discard(pick) => self.discard(*pick),
            Action::Lose(loss) => self.lose(*loss),
            Action::Reconcile => self.reconcile(&[]),
        }
    }

    /// From now on all work succeeds, and time passes. Every task must end.
    fn finish(&mut self) -> Check {
        self.log.push("-- the end: all work succeeds now".to_string());
        self.pause(false)?;
        for _ in 0..ROUNDS_TO_THE_END {
            self.pass(None)?;
            let before = self.given.len();
            self.poll(100, None, Only::default())?;
            let given = self.given.split_off(before);
            if !given.is_empty() {
                self.report_many(given, Outcome::Success)?;
            } else if self.passed == Passed::default() {
                if self.model.tasks.iter().all(|task| task.state.is_over()) {
                    return self.history_is_whole();
                }
                let due = self.model.next_due().ok_or("nothing is due, and yet a task has not ended")?;
                self.advance(due)?;
            }
            self.compare()?;
        }
        Err("it does not come to an end".to_string())
    }

    /// The transitions of each step lead from pending to the state that it is in.
    fn history_is_whole(&mut self) -> Check {
        let sql = format!(
            "select s.step_id, s.state, h.states
             from tasker.namespaces n
             join tasker.tasks t on t.namespace_id = n.namespace_id
             join tasker.steps s on s.task_id = t.task_id
             cross join lateral (
               select coalesce(bool_and(h.from_state = h.before), true) as linked, string_agg(h.to_state, ' ') as states,
                 coalesce((array_agg(h.to_state order by h.step_transition_id desc))[1], 'pending') as last
               from (
                 select st.*, lag(st.to_state, 1, 'pending') over (order by st.step_transition_id) as before
                 from tasker.step_transitions st where st.step_id = s.step_id) h) h
             where n.name = '{}' and (not h.linked or h.last <> s.state)",
            self.namespace
        );
        match self.database.answer(&sql) {
            Answer::Rows(found) => same("steps whose transitions do not lead to their state", "", &found),
            error => Err(format!("{error:?}")),
        }
    }

    pub fn step_id(&self, at: At) -> i64 {
        (self.task_ids[at.task] << 16) + 1 + i64::try_from(at.step).unwrap_or_default()
    }

    pub fn attempt(&self, who: Pick, stale: bool) -> Option<Attempt> {
        let mut open = self.given.clone();
        open.retain(|attempt| self.model.is_open(*attempt));
        choose(&open, who).filter(|_| !stale).or_else(|| choose(&self.given, who))
    }

    pub fn attempts(&self, who: &[Pick], stale: bool) -> Vec<Attempt> {
        who.iter().filter_map(|who| self.attempt(*who, stale)).collect()
    }

    pub fn task_in(&self, pick: Pick, state: impl Fn(TaskState) -> bool) -> Option<usize> {
        let all: Vec<_> = (0..self.model.tasks.len()).collect();
        choose_fitting(&all, pick, |task| state(self.model.tasks[*task].state))
    }
}

pub fn choose<T: Clone>(list: &[T], pick: Pick) -> Option<T> {
    list.get(usize::from(pick) % list.len().max(1)).cloned()
}

/// One that fits. Where none does, now and then another: it will be refused.
pub fn choose_fitting<T: Clone>(list: &[T], pick: Pick, fits: impl Fn(&T) -> bool) -> Option<T> {
    let fitting: Vec<_> = list.iter().filter(|item| fits(item)).cloned().collect();
    choose(&fitting, pick).or_else(|| choose(list, pick).filter(|_| pick.is_multiple_of(8)))
}
