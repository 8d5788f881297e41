//! Wakes at an exact moment.
//!
//! Tokio's timer counts whole milliseconds, which is as long as a fast answer takes; spinning over
//! the rest would take a core away from the server under test. On Linux a `timerfd` in the
//! runtime's own poller wakes within the scheduler's latency at the price of one system call for
//! each wait. Elsewhere Tokio's timer has to do, and the reported lateness shows it.

use std::{io, time::Instant};

#[cfg(target_os = "linux")]
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
#[cfg(target_os = "linux")]
use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver};

#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct Pacer {
    /// The timer. It reads as a pipe does, and this is Tokio's only owner of a foreign descriptor
    /// that is made without `unsafe` code.
    timer: Receiver,
    armed: Option<Instant>,
}

#[cfg(target_os = "linux")]
impl Pacer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { timer: Receiver::from_owned_fd_unchecked(timer)?, armed: None })
    }

    /// Returns at `at`, never before. Dropped half-way it can be called again.
    pub(crate) async fn until(&mut self, at: Instant) -> io::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.armed != Some(at) {
                let none = Timespec { tv_sec: 0, tv_nsec: 0 };
                let left = Timespec::try_from(left).map_err(io::Error::other)?;
                let once = Itimerspec { it_interval: none, it_value: left };
                timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
                self.armed = Some(at);
            }
            // Eight bytes; room for more tells Tokio that nothing else is left to read. A setting
            // that fired unwatched and was set anew has nothing to read.
            let _expired = self.timer.read(&mut [0; 16]).await?;
            self.armed = None;
        }
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Pacer;

#[cfg(not(target_os = "linux"))]
impl Pacer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn until(&mut self, at: Instant) -> io::Result<()> {
        tokio::time::sleep_until(at.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_never_wakes_early_even_when_an_earlier_wait_was_given_up() {
        let mut pacer = Pacer::new().unwrap();
        let start = Instant::now();
        for step in 1..=50_u32 {
            let at = start + Duration::from_micros(700) * step;
            // Given up at once, as when an answer arrives first.
            tokio::select! {
                biased;
                () = std::future::ready(()) => {}
                woken = pacer.until(at) => woken.unwrap(),
            }
            if step % 3 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            pacer.until(at).await.unwrap();
            assert!(Instant::now() >= at);
        }
    }
}
