//! Task cards: any text is a card or is refused with a line or a key.
#![no_main]

use adept_fuzz::feed::check_card;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_card(text);
    }
});
