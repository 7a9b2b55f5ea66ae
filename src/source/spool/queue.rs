//! What waits for the writer. A wake costs more than the rest of an append, so the writer is woken
//! when it has nothing to do, or when the group it waits for is complete, not by every request.

use super::writer::Command;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    /// Bytes of the appends in it.
    bytes: u64,
    /// How many of them are no appends, and let nobody wait for more.
    urgent: usize,
    /// How many commands the writer sleeps for; 0 while it is awake.
    wanted: usize,
    /// How many bytes it sleeps for.
    wanted_bytes: u64,
    /// Nobody sends any more.
    abandoned: bool,
    /// Nobody takes any more.
    ended: bool,
}

/// What [`Queue::next`] brings.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the writer's stack only"
)]
pub(super) enum Next {
    Command(Command),
    /// Nothing came in time.
    Idle,
    /// Nothing can come any more.
    Abandoned,
}

impl Queue {
    /// Whether the command was queued: not after the writer has ended.
    pub(super) fn send(&self, command: Command) -> bool {
        let mut state = self.state.lock();
        if state.ended {
            return false;
        }
        match &command {
            Command::Append(job) => state.bytes += job.request.len,
            _ => state.urgent += 1,
        }
        state.commands.push_back(command);
        let wake = state.wanted > 0 && state.has(state.wanted, state.wanted_bytes);
        if wake {
            state.wanted = 0;
        }
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        true
    }

    /// The next command, waiting at most `limit` for one.
    pub(super) fn next(&self, limit: Duration) -> Next {
        let mut state = self.state.lock();
        if state.commands.is_empty() {
            self.sleep(&mut state, 1, u64::MAX, Instant::now() + limit);
        }
        match state.take() {
            Some(command) => Next::Command(command),
            None if state.abandoned => Next::Abandoned,
            None => Next::Idle,
        }
    }

    /// Waits until `count` commands are there, or appends of `bytes`, or anything but an append, or
    /// until `deadline`.
    pub(super) fn wait_for(&self, count: usize, bytes: u64, deadline: Instant) {
        let mut state = self.state.lock();
        if !state.has(count, bytes) {
            self.sleep(&mut state, count, bytes, deadline);
        }
    }

    /// Moves appends from the front while `take` accepts them; stops before anything else.
    pub(super) fn appends(&self, mut take: impl FnMut(super::writer::Job) -> bool) {
        let mut state = self.state.lock();
        while let Some(Command::Append(_)) = state.commands.front() {
            let Some(Command::Append(job)) = state.take() else {
                return;
            };
            if !take(job) {
                return;
            }
        }
    }

    fn sleep(
        &self,
        state: &mut parking_lot::MutexGuard<'_, State>,
        count: usize,
        bytes: u64,
        deadline: Instant,
    ) {
        state.wanted = count.max(1);
        state.wanted_bytes = bytes;
        while state.wanted > 0 && !state.abandoned {
            if self.wake.wait_until(state, deadline).timed_out() {
                break;
            }
        }
        state.wanted = 0;
    }

    /// Nobody sends any more; the writer ends when it has done what is queued.
    pub(super) fn abandon(&self) {
        self.state.lock().abandoned = true;
        self.wake.notify_one();
    }

    /// Nobody takes any more; what is queued is dropped, and whoever waits for it hears so.
    pub(super) fn end(&self) {
        let left = {
            let mut state = self.state.lock();
            state.ended = true;
            std::mem::take(&mut state.commands)
        };
        drop(left);
    }
}

impl State {
    fn has(&self, count: usize, bytes: u64) -> bool {
        self.commands.len() >= count || self.bytes >= bytes || self.urgent > 0
    }

    fn take(&mut self) -> Option<Command> {
        let command = self.commands.pop_front()?;
        match &command {
            Command::Append(job) => self.bytes -= job.request.len,
            _ => self.urgent -= 1,
        }
        Some(command)
    }
}
