//! What an operator sees of panics. It must not know why there are any.

use std::panic;

/// Where the code of the engine's library is, whose panics on damage are caught and told as errors.
const ENGINE: &str = "sled-0.34.";

/// Lets panics be told, but for those that become errors with a way out.
pub(super) fn tell_only_ours() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location();
        if !place.is_some_and(|place| place.file().contains(ENGINE)) {
            told(panic);
        }
    }));
}
