//! How the model is shown: in the lines that snapshot.sql makes of the database.

use std::fmt;

use crate::model::{At, Claim, Message, Model, Post, Rejected, Step, Waiting};
use crate::plan::{self, Template, name};

impl Model {
    /// All of it as lines, which the database's own are compared with; messages apart, in their order.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("orchestration_task_requests: {}", self.requests.len()),
            format!("orchestration_step_results: {}", self.results.len()),
        ];
        lines.extend(self.rejected.iter().map(|rejected| format!("rejected: {rejected}")));
        lines.extend(self.events.iter().map(|event| format!("event: {event}")));
        lines.extend(self.claims.iter().map(|(task, claim)| format!("claim: {task}{claim}")));
        for (number, task) in self.tasks.iter().enumerate() {
            let stopping = if task.stopping { ", stopping" } else { "" };
            lines.push(format!("task {number}: {}{stopping}", task.state.name()));
        }
        lines.extend(self.steps().into_iter().map(|at| format!("step {at}: {}", self.step(at))));
        let open =
            self.steps().into_iter().filter(|at| self.step(*at).state.in_flight() && self.step(*at).report.is_none());
        let extended = open.filter_map(|at| Some((at, self.step(at).extended.filter(|until| *until > self.now)?)));
        lines.extend(extended.map(|(at, until)| format!("extended: {at} until {until}")));
        for (task, step) in &self.waiting {
            let (about, since) = (subject((*task, *step)), self.tasks[*task].since);
            let claim = self.claims.get(task).map_or_else(String::new, ToString::to_string);
            lines.push(format!("waiting: {about}, since {since}{claim}"));
        }
        let letters = self.dead_letters.iter();
        lines.extend(letters.map(|(about, reason)| format!("dead letter: {}, {reason}", subject(*about))));
        lines.sort();
        lines
    }
}

fn subject((task, step): Waiting) -> String {
    step.map_or_else(|| task.to_string(), |step| At { task, step }.to_string())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}, attempt {} of {}", self.state.name(), self.attempts, self.max_attempts)?;
        if self.state.in_flight() && self.report.is_some() {
            write!(f, ", reported")?;
        }
        self.results.map_or(Ok(()), |results| write!(f, ", results {results}"))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Post::Good(work) = &self.body else { return write!(f, "{}, read {}", self.text(), self.reads) };
        let show = |results: &Option<u32>| results.map_or_else(|| "-".to_string(), |results| results.to_string());
        let sequence: Vec<_> = work.sequence.iter().map(show).collect();
        write!(f, "{} attempt {}, read {}, sequence [{}]", work.at, work.attempt, self.reads, sequence.join(" "))
    }
}

impl Message {
    fn text(&self) -> &str {
        match &self.body {
            Post::Good(_) => "a step message",
            Post::Bad(text) => text,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?} {}", self.queue, self.text)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, " claimed by {} until {}", self.by, self.until)
    }
}

/// As far as it is not the default.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words = [
            self.limit.map(|limit| format!("at most {limit} in flight")),
            self.minutes.map(|minutes| format!("{minutes} minutes")),
            self.fail_fast.then(|| "fail_fast".to_string()),
            self.strict.then(|| "strict".to_string()),
            self.events.then(|| "events".to_string()),
        ];
        writeln!(f, "{}", words.into_iter().flatten().collect::<Vec<_>>().join(", "))?;
        self.steps.iter().enumerate().try_for_each(|(place, step)| writeln!(f, "  {}{step}", name(place)))
    }
}

impl fmt::Display for plan::Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parents: Vec<_> = self.parents.iter().map(|parent| name(*parent)).collect();
        let after = if parents.is_empty() { String::new() } else { format!(" after {}", parents.join(" ")) };
        write!(f, "{after}: max_attempts {}, {:?} backoff of {} ms", self.max_attempts, self.backoff, self.base)?;
        let words = [
            self.max_backoff.map(|most| format!(", at most {most} ms")),
            self.timeout.map(|timeout| format!(", timeout {timeout} ms")),
            (!self.retryable).then(|| ", not retryable".to_string()),
            self.skippable.then(|| ", skippable".to_string()),
        ];
        f.write_str(&words.into_iter().flatten().collect::<String>())
    }
}
