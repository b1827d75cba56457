//! Panics of libraries that read what comes from outside: each becomes a text for an error, and nothing is printed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many calls are under way in which a panic is expected, on any thread: libraries have threads of their own.
static EXPECTED: AtomicUsize = AtomicUsize::new(0);

/// Calls a library that may panic on what it is given: its result, or what the panic said.
///
/// What the library was working on has to be dropped with the panic, so that nothing half done is seen.
///
/// # Errors
/// The text of the panic.
pub fn contained<T>(library: impl FnOnce() -> T) -> Result<T, String> {
    struct Expected;

    impl Drop for Expected {
        fn drop(&mut self) {
            EXPECTED.fetch_sub(1, Ordering::Relaxed);
        }
    }

    silence();
    EXPECTED.fetch_add(1, Ordering::Relaxed);
    let expected = Expected;
    let result = catch_unwind(AssertUnwindSafe(library));
    drop(expected);
    result.map_err(|panic| panic_text(&*panic))
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic without a message").to_string()
}

/// Lets expected panics, and those alone, pass without a word.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if EXPECTED.load(Ordering::Relaxed) == 0 {
                loud(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(contained(|| 7), Ok(7));
        let text = contained::<()>(|| panic!("no {}", "way"));
        assert_eq!(text, Err("no way".into()));
        let text = contained::<()>(|| panic!("plain"));
        assert_eq!(text, Err("plain".into()));
        let inner = contained(|| contained::<()>(|| panic!("deep")));
        assert_eq!(inner, Ok(Err("deep".into())));
    }
}
