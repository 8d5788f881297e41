//! A closed loop for answers that take long.
//!
//! A window of some seconds holds few reports, and callers that start together also end together:
//! whole answers in a window would be counted by luck. So an answer counts with the share of its
//! time that lies in the window, and callers go on until all that began in it is answered.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long it is measured, and by how many callers.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Callers; each has one request under way.
    pub callers: usize,
    /// What passes before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub duration: Duration,
}

/// Tokens of one answer, as whoever wrote it counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, computed for this answer.
    pub read: u64,
    /// Of the prompt, taken from a cache.
    pub cached: u64,
    /// Of the answer.
    pub written: u64,
}

/// One request's time and tokens.
#[derive(Debug, Clone, Copy)]
struct Answered {
    began: Instant,
    ended: Instant,
    tokens: Tokens,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Answers in a second of the window.
    pub per_second: f64,
    /// Tokens written in a second of the window.
    pub written_per_second: f64,
    /// Median time of an answer, of those that ended in the window.
    pub p50: Duration,
    /// The longest such time.
    pub longest: Duration,
    /// Mean tokens of an answer: read, cached, written.
    pub mean_tokens: [f64; 3],
    /// Answers that ended in the window.
    pub answers: usize,
}

/// Who still has an answer to give that counts.
struct Board {
    unfinished: AtomicUsize,
    all_answered: CancellationToken,
}

/// Has `window.callers` callers ask, each again as soon as it is answered. `ask` is given the
/// number of the request, counted over all callers.
///
/// # Errors
/// The first error of `ask`; nothing is measured then.
pub async fn closed_loop<Ask, Asked>(window: Window, ask: Ask) -> anyhow::Result<Measured>
where
    Ask: Fn(usize) -> Asked + Clone + Send + 'static,
    Asked: Future<Output = anyhow::Result<Tokens>> + Send + 'static,
{
    let begins = Instant::now() + window.warm_up;
    let ends = begins + window.duration;
    let board = Arc::new(Board {
        unfinished: AtomicUsize::new(window.callers),
        all_answered: CancellationToken::new(),
    });
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..window.callers {
        let (ask, board, numbers) = (ask.clone(), Arc::clone(&board), Arc::clone(&numbers));
        callers.spawn(caller(ask, numbers, board, ends));
    }
    let mut answered = Vec::new();
    while let Some(caller) = callers.join_next().await {
        answered.extend(caller??);
    }
    Ok(measured(&answered, begins, ends))
}

/// Asks until every caller's request that began before `ends` is answered.
async fn caller<Ask, Asked>(
    ask: Ask,
    numbers: Arc<AtomicUsize>,
    board: Arc<Board>,
    ends: Instant,
) -> anyhow::Result<Vec<Answered>>
where
    Ask: Fn(usize) -> Asked,
    Asked: Future<Output = anyhow::Result<Tokens>>,
{
    let mut answered = Vec::new();
    let mut counts = true;
    loop {
        let began = Instant::now();
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let tokens = tokio::select! {
            tokens = ask(number) => tokens?,
            () = board.all_answered.cancelled() => return Ok(answered),
        };
        let ended = Instant::now();
        answered.push(Answered { began, ended, tokens });
        if counts && ended >= ends {
            counts = false;
            if board.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 {
                board.all_answered.cancel();
            }
        }
    }
}

fn measured(answered: &[Answered], begins: Instant, ends: Instant) -> Measured {
    let seconds = (ends - begins).as_secs_f64();
    let mut sum = Measured::default();
    let mut times = Vec::new();
    for one in answered {
        let within = one.ended.min(ends).saturating_duration_since(one.began.max(begins));
        let took = one.ended - one.began;
        let share = within.as_secs_f64() / took.as_secs_f64().max(1e-9);
        sum.per_second += share / seconds;
        sum.written_per_second += share * one.tokens.written as f64 / seconds;
        if one.ended >= begins && one.ended < ends {
            times.push(took);
            let Tokens { read, cached, written } = one.tokens;
            for (mean, count) in sum.mean_tokens.iter_mut().zip([read, cached, written]) {
                *mean += count as f64;
            }
        }
    }
    times.sort_unstable();
    sum.answers = times.len();
    sum.p50 = times.get(times.len() / 2).copied().unwrap_or_default();
    sum.longest = times.last().copied().unwrap_or_default();
    sum.mean_tokens = sum.mean_tokens.map(|total| total / times.len().max(1) as f64);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn an_answer_counts_with_the_share_of_its_time_in_the_window() {
        let start = Instant::now();
        let tokens = Tokens { read: 3, cached: 0, written: 10 };
        let answer = |from, to| Answered { began: at(start, from), ended: at(start, to), tokens };
        // Half before the window, whole within, a quarter before its end, all after it.
        let answers = [answer(0.0, 2.0), answer(2.0, 4.0), answer(4.0, 8.0), answer(8.0, 9.0)];
        let found = measured(&answers, at(start, 1.0), at(start, 5.0));
        assert!((found.per_second - 1.75 / 4.0).abs() < 1e-9, "{found:?}");
        assert!((found.written_per_second - 17.5 / 4.0).abs() < 1e-9, "{found:?}");
        assert_eq!(found.answers, 2);
        assert_eq!(found.p50, Duration::from_secs(2));
    }

    #[tokio::test]
    async fn callers_that_end_together_are_all_counted() {
        let window = Window {
            callers: 8,
            warm_up: Duration::from_millis(10),
            duration: Duration::from_millis(130),
        };
        let ask = |_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Tokens { read: 1, cached: 2, written: 3 })
        };
        let found = closed_loop(window, ask).await.expect("measured");
        assert!(found.per_second > 0.0 && found.answers > 0, "{found:?}");
        assert_eq!(found.mean_tokens, [1.0, 2.0, 3.0]);
        assert!((found.written_per_second / found.per_second - 3.0).abs() < 1e-9, "{found:?}");
    }

    #[tokio::test]
    async fn one_failure_ends_the_measurement() {
        let window =
            Window { callers: 2, warm_up: Duration::ZERO, duration: Duration::from_secs(60) };
        let failed = closed_loop(window, |number| async move {
            tokio::task::yield_now().await;
            if number == 5 { anyhow::bail!("refused") } else { Ok(Tokens::default()) }
        });
        assert!(failed.await.is_err_and(|error| error.to_string() == "refused"));
    }
}
