//! Sharing work over the threads of the current rayon pool, without changing a bit of the result.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};

/// Values that one task works on; fixed, so that the number of threads changes nothing.
pub(crate) const BLOCK: usize = 10_240;

/// Turns without work after which a waiting thread lets others run; some tens of microseconds.
const PATIENCE: usize = 1000;

/// Runs `work` while the other threads of the pool stay awake between its parallel parts.
///
/// A rayon worker falls asleep after about 10 us without work, and waking it takes 25 us or more: longer than many
/// a part of a training step. Awake, a part costs about 1.5 us to share. The price is processor time: the other
/// threads are busy as long as `work` lasts, so it should be mostly parallel.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(|_| help_until(&done));
        }
        // Set on the way out of a panic too, or the scope would wait for ever.
        let _done = SetOnDrop(&done);
        work()
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn help_until(done: &AtomicBool) {
    let mut idle = 0;
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            idle = 0;
        } else if idle < PATIENCE {
            idle += 1;
            spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn work_is_done_once_at_any_number_of_threads() {
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sum: usize = pool.install(|| awake(|| (0..1000).map(|_| (0..8).into_par_iter().sum::<usize>()).sum()));
            assert_eq!(sum, 28_000, "{threads} threads");
        }
    }

    #[test]
    fn a_panic_ends_the_wait() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let panicked: Result<(), _> =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(|| awake(|| panic!("on purpose")))));
        assert!(panicked.is_err());
    }
}
