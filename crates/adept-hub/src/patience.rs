//! Retries: how often, and after which pauses.

use std::time::{Duration, Instant, SystemTime};

use ureq::http::HeaderMap;

use crate::progress::Watch;
use crate::{HubError, Settings};

/// The first pause between attempts; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A larger reset value cannot be a number of seconds.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// How often a pause checks whether to abort.
const GLANCE: Duration = Duration::from_millis(100);

/// Counts attempts and waits between them.
pub(crate) struct Patience<'a> {
    settings: &'a Settings,
    watch: &'a Watch<'a>,
    /// Number of attempts, including the current one but not those deferred by a busy server.
    tried: u32,
    /// How often, and for how long in total, a busy server has been waited for.
    put_off: u32,
    waited: Duration,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(settings: &'a Settings, watch: &'a Watch<'a>) -> Self {
        Self {
            settings,
            watch,
            tried: 1,
            put_off: 0,
            waited: Duration::ZERO,
        }
    }

    /// Number of attempts, including the current one.
    pub(crate) fn tried(&self) -> u32 {
        self.tried
    }

    /// Resets the counters, since the current attempt made progress.
    pub(crate) fn renew(&mut self) {
        (self.tried, self.put_off, self.waited) = (1, 0, Duration::ZERO);
    }

    /// Waits before a retry, twice as long as before.
    ///
    /// # Errors
    /// `fault` after the last attempt, [`HubError::Stopped`] if the fetch is aborted.
    pub(crate) fn again(&mut self, fault: HubError) -> Result<(), HubError> {
        if self.tried >= self.settings.tries {
            return Err(fault);
        }
        self.pause(&fault, self.doubled(self.tried - 1))?;
        self.tried += 1;
        Ok(())
    }

    /// Waits for a busy server: as long as it `asked`, else twice as long as before.
    ///
    /// # Errors
    /// [`HubError::Busy`] if that exceeds the maximum wait, [`HubError::Stopped`] if the fetch is aborted.
    pub(crate) fn wait_for(&mut self, fault: HubError, status: u16, asked: Option<Duration>) -> Result<(), HubError> {
        // A requested wait of zero would make for an endless loop.
        let asked = asked.filter(|asked| !asked.is_zero());
        let pause = asked.unwrap_or_else(|| self.doubled(self.put_off));
        let waited = self.waited.saturating_add(pause);
        if waited > self.settings.longest_wait {
            let HubError::Status { url, .. } = fault else {
                return Err(fault);
            };
            return Err(HubError::Busy {
                url,
                status,
                asked: asked.map(|asked| asked.as_secs()),
                waited: self.waited.as_secs(),
                longest: self.settings.longest_wait.as_secs(),
            });
        }
        self.pause(&fault, pause)?;
        (self.put_off, self.waited) = (self.put_off.saturating_add(1), waited);
        Ok(())
    }

    /// The pause after `before` others.
    fn doubled(&self, before: u32) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(before));
        doubled.min(self.settings.longest_pause)
    }

    fn pause(&self, why: &HubError, pause: Duration) -> Result<(), HubError> {
        self.watch.progress.waiting(why, pause.as_secs_f64());
        let begun = Instant::now();
        while let Some(left) = pause.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.watch.go_on()?;
            std::thread::sleep(left.min(GLANCE));
        }
        Ok(())
    }
}

/// How long a response asks to wait: the longest wait in its headers.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let all = |name| {
        let values = headers.get_all(name).into_iter();
        values.filter_map(|value| value.to_str().ok().map(str::trim))
    };
    let limits = all("ratelimit").filter_map(rate_limit);
    let resets = ["ratelimit-reset", "x-ratelimit-reset"].into_iter();
    let resets = resets.flat_map(|name| all(name).filter_map(|seconds| seconds.parse().ok().map(Duration::from_secs)));
    let waits = all("retry-after").filter_map(retry_after).chain(limits);
    // A bare reset is used only if there is nothing else: some servers put a point in time there.
    waits.max().or_else(|| resets.filter(|reset| *reset <= A_DAY).max())
}

/// How long a `RateLimit` header asks to wait: until an exhausted quota is renewed. Supports both forms of the draft
/// standard, `"api";r=0;t=12` (used by the hub) and `limit=100, remaining=0, reset=12`.
fn rate_limit(text: &str) -> Option<Duration> {
    let is_used_up = |remaining: Option<u64>| remaining.is_none_or(|remaining| remaining == 0);
    let (mut longest, mut remaining, mut reset) = (None, None, None);
    for item in text.split(',') {
        let (mut left, mut renewed) = (None, None);
        for (key, value) in item.split(';').filter_map(|part| part.split_once('=')) {
            let number = value.trim().parse::<u64>().ok();
            match key.trim() {
                "r" => left = number,
                "t" => renewed = number,
                "remaining" => remaining = number,
                "reset" => reset = number,
                _ => {}
            }
        }
        if is_used_up(left) {
            longest = longest.max(renewed);
        }
    }
    let old = reset.filter(|_| is_used_up(remaining));
    longest.max(old).map(Duration::from_secs)
}

/// How long a `Retry-After` header asks to wait, given in seconds or as a date.
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
    // Days since 1970. Years begin in March here, so that the leap day is their last day.
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

    #[test]
    fn headers_say_how_long_to_wait() {
        let wait = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().expect("a header's value"));
            }
            asked(&map).map(|wait| wait.as_secs())
        };
        let limit = |value| wait(&[("ratelimit", value)]);
        assert_eq!(limit("\"api\";r=0;t=12"), Some(12));
        assert_eq!(
            limit("\"api\"; r=0; t=12, \"pages\";r=0;t=200, \"resolvers\";r=7;t=999"),
            Some(200)
        );
        assert_eq!(limit("\"api\";t=12"), Some(12));
        assert_eq!(limit("limit=100, remaining=0, reset=50"), Some(50));
        for value in [
            "\"api\";r=3;t=12",
            "limit=100, remaining=5, reset=50",
            "\"api\";r=0",
            "\"api\";t=-1",
            "",
        ] {
            assert_eq!(limit(value), None, "{value}");
        }
        assert_eq!(
            wait(&[("retry-after", "5"), ("ratelimit", "\"api\";r=0;t=12")]),
            Some(12)
        );
        assert_eq!(
            wait(&[("retry-after", "20"), ("ratelimit", "\"api\";r=0;t=12")]),
            Some(20)
        );
        assert_eq!(wait(&[("ratelimit-reset", "30")]), Some(30));
        assert_eq!(wait(&[("x-ratelimit-reset", "1700000000")]), None, "a point in time");
        assert_eq!(wait(&[("ratelimit-reset", "30"), ("retry-after", "2")]), Some(2));
        assert_eq!(wait(&[]), None);
    }
}
