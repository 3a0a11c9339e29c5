//! CPU time from /proc: of a postmaster with all of its children, and of this program.

use std::collections::HashMap;
use std::fs;
use std::mem::MaybeUninit;

use crate::Result;

/// Seconds of CPU that a cluster has used since it started.
#[derive(Clone, Default)]
pub struct ServerCpu {
    /// The postmaster, its children that live, and those that have ended.
    pub all: f64,
    /// Those that live, by what they are.
    pub by_kind: HashMap<Kind, f64>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    Backend,
    Orchestrator,
    Launcher,
    Autovacuum,
    Other,
}

impl Kind {
    /// From the title that a server process gives itself.
    fn of(title: &str) -> Kind {
        let kinds = [
            ("orchestrator", Kind::Orchestrator),
            ("tasker", Kind::Launcher),
            ("autovacuum", Kind::Autovacuum),
            ("[local]", Kind::Backend),
        ];
        kinds.iter().find(|(word, _)| title.contains(word)).map_or(Kind::Other, |(_, kind)| *kind)
    }
}

/// The fields of /proc/PID/stat after the command's name: [0] is the state, [1] the parent, and so on. See proc(5).
struct Stat(Vec<i64>);

const PARENT: usize = 1;
const OWN_TIMES: [usize; 2] = [11, 12];
const TIMES_OF_ENDED_CHILDREN: [usize; 2] = [13, 14];

impl Stat {
    fn read(pid: i32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold any character.
        let rest = &text[text.rfind(')')? + 2..];
        Some(Stat(rest.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect()))
    }

    fn seconds(&self, fields: [usize; 2]) -> f64 {
        let ticks: i64 = fields.iter().filter_map(|field| self.0.get(*field)).sum();
        // SAFETY: asks for a constant of the system.
        let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        ticks as f64 / a_second as f64
    }

    fn parent(&self) -> i32 {
        self.0.get(PARENT).and_then(|pid| i32::try_from(*pid).ok()).unwrap_or(0)
    }
}

/// The parent of a backend is the postmaster.
pub fn parent(pid: i32) -> Result<i32> {
    let stat = Stat::read(pid).ok_or("the server's processes are not visible here: is it on another machine?")?;
    Ok(stat.parent())
}

pub fn server_cpu(postmaster: i32) -> Result<ServerCpu> {
    let own = Stat::read(postmaster).ok_or("the postmaster is gone")?;
    let mut cpu =
        ServerCpu { all: own.seconds(OWN_TIMES) + own.seconds(TIMES_OF_ENDED_CHILDREN), ..ServerCpu::default() };
    for (pid, stat) in children(postmaster)? {
        let used = on_cpu(pid).unwrap_or_else(|| stat.seconds(OWN_TIMES));
        cpu.all += used;
        *cpu.by_kind.entry(Kind::of(&title(pid))).or_default() += used;
    }
    Ok(cpu)
}

/// By the scheduler's own account, in nanoseconds where stat counts in hundredths of a second. Of the main thread, and
/// server processes have no other.
fn on_cpu(pid: i32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanoseconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

fn children(postmaster: i32) -> Result<Vec<(i32, Stat)>> {
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let stats = pids.filter_map(|pid| Some((pid, Stat::read(pid)?)));
    Ok(stats.filter(|(_, stat)| stat.parent() == postmaster).collect())
}

fn title(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// Seconds of CPU that this program has used.
pub fn own_cpu() -> f64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is given; all zeros is a valid one where it fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// "Intel(R) Xeon(R) …", or what is known of the processor.
pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.to_string())
}

pub fn memory_gib() -> f64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0.0, |kib: f64| kib / 1024.0 / 1024.0)
}

/// The load of the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_apart_by_their_titles() {
        assert_eq!(Kind::of("postgres: tasker orchestrator "), Kind::Orchestrator);
        assert_eq!(Kind::of("postgres: tasker launcher "), Kind::Launcher);
        assert_eq!(Kind::of("postgres: postgres bench [local] idle"), Kind::Backend);
        assert_eq!(Kind::of("postgres: autovacuum worker bench"), Kind::Autovacuum);
        assert_eq!(Kind::of("postgres: walwriter "), Kind::Other);
    }

    #[test]
    fn our_own_cpu_time_grows_with_work() {
        let before = own_cpu();
        let mut sum = 0u64;
        while own_cpu() - before < 0.01 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        assert!(Stat::read(std::process::id() as i32).is_some());
    }
}
