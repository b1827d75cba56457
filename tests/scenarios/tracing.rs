//! A command that the system stops before every call that changes a file of the project, in whichever of its processes:
//! there it can be killed, or interrupted as by Ctrl-C.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::Project;

/// No command that is traced takes longer.
const LONGEST: Duration = Duration::from_mins(2);

/// What happens to a command that is about to change a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It goes on.
    Nothing,
    /// It and all that it started are killed.
    KillAll,
    /// The process that is about to change the file is killed.
    KillOne,
    /// The process that was started first is interrupted.
    Interrupt,
}

/// A change of a file that is about to happen.
pub(crate) struct Event {
    /// How many came before it.
    pub(crate) number: usize,
    /// The call, and the file that is open if it is a write: `write tune.log`.
    pub(crate) what: String,
}

/// How a traced command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Code(i32),
    Killed,
}

/// Runs `refire` in the project; `judge` is asked at every event.
pub(crate) fn trace(
    project: &Project,
    arguments: &[&str],
    judge: &mut dyn FnMut(&Event) -> Deed,
) -> End {
    let mut command = Command::new("sh");
    // Waits until it is traced.
    command.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_refire")).args(arguments);
    command
        .current_dir(project.path(""))
        .env_remove("REFIRE_CACHE_DIR");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    #[expect(clippy::zombie_processes, reason = "the tracer waits for it")]
    let child = command.spawn().expect("sh is there");
    let root = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let mut tracer = Tracer {
        folder: project.path(".").canonicalize().expect("it is there"),
        root,
        alive: Arc::default(),
        events: 0,
        end: End::Killed,
    };
    let (done, waits) = channel::<()>();
    let alive = Arc::clone(&tracer.alive);
    // Nothing that hangs makes the test hang: killed, it fails.
    let watchdog = std::thread::spawn(move || {
        let late = waits.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout);
        if late {
            kill_all(&alive);
        }
        late
    });
    tracer.follow(judge);
    drop(done);
    let late = watchdog.join().expect("it does not panic");
    assert!(!late, "refire {} hangs", arguments.join(" "));
    tracer.end
}

fn kill_all(processes: &Mutex<BTreeSet<Pid>>) {
    for process in processes.lock().expect("no panic").iter() {
        // What is gone needs no kill.
        let _ = kill(*process, Signal::SIGKILL);
    }
}

struct Tracer {
    folder: std::path::PathBuf,
    root: Pid,
    /// All threads of all processes.
    alive: Arc<Mutex<BTreeSet<Pid>>>,
    events: usize,
    end: End,
}

impl Tracer {
    /// Traces the command until the last of its processes has ended.
    fn follow(&mut self, judge: &mut dyn FnMut(&Event) -> Deed) {
        let stopped = waitpid(self.root, Some(WaitPidFlag::WUNTRACED));
        assert_eq!(stopped, Ok(WaitStatus::Stopped(self.root, Signal::SIGSTOP)));
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(self.root, options).expect("a child may be traced");
        kill(self.root, Signal::SIGCONT).expect("it is there");
        self.alive.lock().expect("no panic").insert(self.root);
        // Other tests have processes of their own, which are not to be waited for here.
        let ours = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let status = match waitpid(None, Some(ours)) {
                Ok(status) => status,
                Err(Errno::ECHILD) => return,
                Err(Errno::EINTR) => continue,
                Err(error) => panic!("cannot wait: {error}"),
            };
            let pass = match status {
                WaitStatus::Exited(pid, code) => {
                    self.gone(pid, End::Code(code));
                    continue;
                }
                WaitStatus::Signaled(pid, ..) => {
                    self.gone(pid, End::Killed);
                    continue;
                }
                WaitStatus::PtraceSyscall(pid) => {
                    self.call(pid, judge);
                    None
                }
                WaitStatus::Stopped(_, signal) => Some(signal),
                _ => None,
            };
            let Some(pid) = status.pid() else { continue };
            self.alive.lock().expect("no panic").insert(pid);
            // What was killed meanwhile cannot go on.
            let _ = ptrace::syscall(pid, pass);
        }
    }

    fn gone(&mut self, pid: Pid, end: End) {
        self.alive.lock().expect("no panic").remove(&pid);
        if pid == self.root {
            self.end = end;
        }
    }

    /// A process is about to call the system, or back from it.
    fn call(&mut self, pid: Pid, judge: &mut dyn FnMut(&Event) -> Deed) {
        let Some((number, arguments)) = entered(pid) else {
            return;
        };
        let Some(what) = change(&self.folder, pid, number, &arguments) else {
            return;
        };
        let event = Event {
            number: self.events,
            what,
        };
        self.events += 1;
        match judge(&event) {
            Deed::Nothing => {}
            Deed::KillAll => kill_all(&self.alive),
            Deed::KillOne => kill(pid, Signal::SIGKILL).expect("it is stopped"),
            Deed::Interrupt => kill(self.root, Signal::SIGINT).expect("it is traced"),
        }
    }
}

/// The number and the arguments of the call that a process is about to make; none if it is back from one.
#[expect(
    unsafe_code,
    reason = "`op` says that the system has filled in this member of the union"
)]
fn entered(pid: Pid) -> Option<(i64, [u64; 6])> {
    let info = ptrace::syscall_info(pid).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    let entry = unsafe { info.u.entry };
    Some((i64::try_from(entry.nr).ok()?, entry.args))
}

/// What a call changes on the disk, if it does.
fn change(folder: &Path, pid: Pid, number: i64, arguments: &[u64; 6]) -> Option<String> {
    // The descriptor is the first argument; of a copy it is the third.
    let file = |descriptor: u64| {
        let link = format!("/proc/{pid}/fd/{}", u32::try_from(descriptor).ok()?);
        let path = std::fs::read_link(link).ok()?;
        let inside = path.strip_prefix(folder).ok()?;
        Some(inside.display().to_string())
    };
    let creates = |flags: u64| {
        let flag = |flag: libc::c_int| flags & u64::from(flag.unsigned_abs()) != 0;
        flag(libc::O_CREAT) || flag(libc::O_TRUNC)
    };
    let named = |name: &str| Some(name.to_string());
    match number {
        libc::SYS_openat if creates(arguments[2]) => named("open"),
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev | libc::SYS_pwritev => {
            Some(format!("write {}", file(arguments[0])?))
        }
        libc::SYS_copy_file_range => Some(format!("copy to {}", file(arguments[2])?)),
        libc::SYS_sendfile => Some(format!("copy to {}", file(arguments[0])?)),
        libc::SYS_ftruncate | libc::SYS_fallocate => {
            Some(format!("resize {}", file(arguments[0])?))
        }
        libc::SYS_fchmod => Some(format!("chmod {}", file(arguments[0])?)),
        libc::SYS_renameat | libc::SYS_renameat2 => named("rename"),
        libc::SYS_linkat | libc::SYS_symlinkat => named("link"),
        libc::SYS_unlinkat => named("remove"),
        libc::SYS_mkdirat => named("mkdir"),
        libc::SYS_fchmodat => named("chmod"),
        libc::SYS_utimensat => named("set times"),
        _ => old_change(number, arguments, creates),
    }
}

/// The same for calls that younger architectures do without.
#[cfg(target_arch = "x86_64")]
fn old_change(number: i64, arguments: &[u64; 6], creates: impl Fn(u64) -> bool) -> Option<String> {
    let name = match number {
        libc::SYS_open if creates(arguments[1]) => "open",
        libc::SYS_creat => "open",
        libc::SYS_rename => "rename",
        libc::SYS_link | libc::SYS_symlink => "link",
        libc::SYS_unlink | libc::SYS_rmdir => "remove",
        libc::SYS_mkdir => "mkdir",
        libc::SYS_chmod => "chmod",
        _ => return None,
    };
    Some(name.into())
}

#[cfg(not(target_arch = "x86_64"))]
fn old_change(_: i64, _: &[u64; 6], _: impl Fn(u64) -> bool) -> Option<String> {
    None
}
