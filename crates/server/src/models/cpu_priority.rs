//! Makes tier 2 give way to tier 1 on the cores that both need.

use anyhow::anyhow;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use crate::settings::CpuPriority;

/// The niceness of what waits for nothing else (setpriority(2)).
const NICEST: i32 = 19;

/// Does `work` on a thread of that priority. Threads that it starts, those of ONNX Runtime too,
/// inherit the priority.
///
/// # Errors
/// When the work panicked.
pub(super) fn with_priority<T: Send>(
    priority: CpuPriority,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let lowered = || {
        if let Err(error) = lower(priority) {
            tracing::warn!(%error, ?priority, "tier 2 keeps the ordinary priority");
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(lowered).join())
        .map_err(|_| anyhow!("a thread panicked"))?
}

fn lower(priority: CpuPriority) -> Result<(), String> {
    match priority {
        CpuPriority::Normal => Ok(()),
        CpuPriority::Low => {
            rustix::process::nice(NICEST).map(|_| ()).map_err(|error| error.to_string())
        }
        CpuPriority::Idle => {
            let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            let thread = thread_native_id();
            set_thread_priority_and_policy(thread, ThreadPriority::Min, policy)
                .map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use thread_priority::{ThreadSchedulePolicy, thread_schedule_policy};

    use super::*;

    #[test]
    fn what_is_started_inherits_the_priority_and_the_caller_keeps_its_own() {
        let policy = || thread_schedule_policy().map_err(|error| anyhow!("{error}"));
        let before = policy().unwrap();
        let child = with_priority(CpuPriority::Idle, || {
            std::thread::spawn(policy).join().map_err(|_| anyhow!("a thread panicked"))?
        });
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(child.unwrap(), idle);
        assert_eq!(policy().unwrap(), before);
    }
}
