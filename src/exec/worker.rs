//! One worker: a process of the same binary, what is said to it and what it says.
//!
//! It has a session of its own, in which each program that it starts leads a process group; all of them are ended together.
//! On Linux the process that is started is the worker's keeper, which see. A worker's standard input stays open while the
//! runner lives: when it closes, the worker knows that it is alone and stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::machine::Share;
use super::protocol::{Message, Order, Request};
use crate::config::Sources;
use crate::error::{Context, Error, Result};
use crate::stages::{VISIBLE_GPUS, Variables};
use crate::threads;

/// How many lines may wait to be heard. A worker that writes faster than that waits.
const LINES: usize = 1024;

/// How long a keeper may take to kill its worker with all that it has started.
#[cfg(target_os = "linux")]
const KEEPER: Duration = Duration::from_secs(3);

/// What comes from a worker.
pub(super) enum Line {
    Message(Message),
    /// A line that it wrote to standard error.
    Text(String),
    /// It will send no more messages.
    Closed,
}

/// A worker process. It is killed, with all that it started, when this is dropped.
pub(super) struct Worker {
    /// The files that came with its orders so far.
    sent: Sources,
    share: Share,
    child: Child,
    /// None once it is to end.
    orders: Option<ChildStdin>,
    lines: Receiver<Line>,
    /// The process group of the program that it has started last.
    group: Option<u32>,
    stopping: bool,
}

impl Worker {
    /// Starts `program worker`, which may use this `share` of the machine.
    pub(super) fn start(program: &Path, share: &Share) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (threads, gpus) = (share.threads.to_string(), share.gpus.join(","));
        let thread_counts = ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS"];
        let mut own: Vec<(&str, &str)> = thread_counts.map(|name| (name, &*threads)).to_vec();
        if !gpus.is_empty() {
            own.push((VISIBLE_GPUS, &gpus));
        }
        // A training step frees its tensors and the next takes as much again: pages that went back to the system in
        // between cost a fifth of the processor's time.
        own.push(("MIMALLOC_PURGE_DELAY", "-1"));
        Variables::replace(&mut command, &own);
        let mut child = command
            .spawn()
            .or_stage(|| format!("cannot start the worker `{}`", program.display()))
            .map_err(|error| error.help(threads::MORE))?;
        let broken = || Error::stage("the worker has no pipes");
        let orders = Some(child.stdin.take().ok_or_else(broken)?);
        let (output, errors) = child
            .stdout
            .take()
            .zip(child.stderr.take())
            .ok_or_else(broken)?;
        let (sender, lines) = sync_channel(LINES);
        let texts = sender.clone();
        // It is ended if there is nobody to listen to it.
        let worker = Self {
            sent: Sources::new(),
            share: share.clone(),
            child,
            orders,
            lines,
            group: None,
            stopping: false,
        };
        threads::start("messages", move || {
            pass_on(output, &sender, |line| {
                serde_json::from_slice(line).map_or_else(|_| Line::Text(text(line)), Line::Message)
            });
            let _ = sender.send(Line::Closed);
        })?;
        let errors = move || pass_on(errors, &texts, |line| Line::Text(text(line)));
        threads::start("errors", errors)?;
        Ok(worker)
    }

    pub(super) fn share(&self) -> &Share {
        &self.share
    }

    /// Gives it the order that `order` makes of the files that it has got so far.
    pub(super) fn order(&mut self, order: impl FnOnce(&mut Sources) -> Order) -> Result<()> {
        let order = order(&mut self.sent);
        self.say(&Request::Run(Box::new(order)))
    }

    fn say(&mut self, request: &Request) -> Result<()> {
        let mut line =
            serde_json::to_vec(request).or_stage(|| "cannot write the worker's order")?;
        line.push(b'\n');
        // That a worker is gone is heard, with the reason why.
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(&line).and_then(|()| orders.flush());
        }
        Ok(())
    }

    /// The next line, if one comes within `patience`.
    pub(super) fn hear(&mut self, patience: Duration) -> Option<Line> {
        self.lines.recv_timeout(patience).ok()
    }

    /// Whether it was asked to stop: then it takes no more orders.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, if it does within `patience`.
    pub(super) fn end(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let begin = Instant::now();
        loop {
            let status = self
                .child
                .try_wait()
                .or_stage(|| "cannot wait for the worker")?;
            if status.is_some() || begin.elapsed() >= patience {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Notes which process group a program leads that it has started; none once that is over.
    pub(super) fn leads(&mut self, group: Option<u32>) {
        self.group = group;
    }

    /// Gives it no more work: it ends.
    pub(super) fn dismiss(&mut self) {
        self.orders = None;
    }

    /// Waits for its end, but not for longer than `patience`.
    pub(super) fn wait(&mut self, patience: Duration) {
        let _ = self.end(patience);
    }

    /// Asks it to stop what it does.
    pub(super) fn ask_to_stop(&mut self) {
        self.stopping = true;
        // One that cannot be asked is killed.
        let _ = self.say(&Request::Stop);
    }

    /// Ends it by force, with all that it has started.
    pub(super) fn kill(&mut self) {
        #[cfg(target_os = "linux")]
        if self.keeper_kills() {
            return;
        }
        #[cfg(unix)]
        for group in [Some(self.child.id()), self.group.take()] {
            if let Some(group) = group.and_then(pid) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.kill();
        #[cfg(target_os = "linux")]
        kill_session(self.child.id());
    }

    /// Has its keeper kill it. False if that does not answer.
    #[cfg(target_os = "linux")]
    fn keeper_kills(&mut self) -> bool {
        let Some(keeper) = pid(self.child.id()).filter(|_| self.is_alive()) else {
            return false;
        };
        let _ = rustix::process::kill_process(keeper, rustix::process::Signal::TERM);
        matches!(self.end(KEEPER), Ok(Some(_)))
    }
}

/// Ends the processes of a worker's session: also those that it could not tell of any more.
#[cfg(target_os = "linux")]
fn kill_session(worker: u32) {
    let worker = worker.to_string();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // After the name in brackets, which may hold anything: state, parent, group, session.
        let session = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(3));
        let id = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let (true, Some(pid)) = (session == Some(&worker), id.and_then(pid)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that was dismissed has ended, and its number may be another process's by now.
        if self.is_alive() {
            self.kill();
        }
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
fn pid(id: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(id).ok()?)
}

/// Sends what `line` makes of each line until the end; one that is not UTF-8, or has no end, is a line too.
fn pass_on(from: impl Read, to: &SyncSender<Line>, line: impl Fn(&[u8]) -> Line) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from
        .read_until(b'\n', &mut bytes)
        .is_ok_and(|read| read > 0)
    {
        let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if to.send(line(end)).is_err() {
            return;
        }
        bytes.clear();
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}
