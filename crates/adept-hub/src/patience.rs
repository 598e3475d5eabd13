//! How often and after which pauses something is tried again.

use std::time::{Duration, Instant, SystemTime};

use crate::progress::Watch;
use crate::{HubError, Settings};

/// The first pause between two tries; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How often a pause looks up whether it is to end.
const GLANCE: Duration = Duration::from_millis(100);

/// Counts tries and waits between them.
pub(crate) struct Patience<'a> {
    settings: &'a Settings,
    watch: &'a Watch<'a>,
    /// Tries made, the present one included.
    tried: u32,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(settings: &'a Settings, watch: &'a Watch<'a>) -> Self {
        Self {
            settings,
            watch,
            tried: 1,
        }
    }

    /// Tries made, the present one included.
    pub(crate) fn tried(&self) -> u32 {
        self.tried
    }

    /// Counts anew: the present try was worth it.
    pub(crate) fn renew(&mut self) {
        self.tried = 1;
    }

    /// Waits before another try: as long as the server `asked`, else twice as long as before; never longer than the
    /// settings allow.
    ///
    /// # Errors
    /// `fault` after the last try, [`HubError::Stopped`] where the fetch is to end.
    pub(crate) fn again(&mut self, fault: HubError, asked: Option<Duration>) -> Result<(), HubError> {
        if self.tried >= self.settings.tries {
            return Err(fault);
        }
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.tried - 1));
        let pause = asked.unwrap_or(doubled).min(self.settings.longest_pause);
        self.watch.progress.waiting(&fault, pause.as_secs_f64());
        let begun = Instant::now();
        while let Some(left) = pause.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.watch.go_on()?;
            std::thread::sleep(left.min(GLANCE));
        }
        self.tried += 1;
        Ok(())
    }
}

/// How long a `Retry-After` header asks to wait, as a number of seconds or as a date.
pub(crate) fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(http_date(text)?).saturating_sub(now))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let number = |text: Option<&str>| text?.parse::<u16>().ok().map(u64::from);
    let day = number(words.next())?.checked_sub(1)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let year = number(words.next())?;
    let mut clock = words.next()?.split(':');
    let (hours, minutes, seconds) = (number(clock.next())?, number(clock.next())?, number(clock.next())?);
    // Days since 1970. A year begins in March here, so that the leap day is its last.
    let (years, months) = if month > 1 {
        (year, month - 2)
    } else {
        (year.checked_sub(1)?, month + 10)
    };
    let leap_days = years / 4 - years / 100 + years / 400;
    let days = (365 * years + leap_days + (153 * months + 2) / 5 + day).checked_sub(719_468)?;
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_seconds() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        for text in [
            "soon",
            "Sun, 06 Nov 99999999999999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn servers_ask_for_seconds_or_until_a_date() {
        assert_eq!(retry_after("17"), Some(Duration::from_secs(17)));
        assert_eq!(retry_after("Thu, 29 Feb 2024 12:00:00 GMT"), Some(Duration::ZERO));
        let years = retry_after("Fri, 01 Jan 2999 00:00:00 GMT").map(|wait| wait.as_secs() / (365 * 24 * 3600));
        assert!(years.is_some_and(|years| years > 900), "{years:?}");
        assert_eq!(retry_after("-5"), None);
        assert_eq!(retry_after(""), None);
    }
}
