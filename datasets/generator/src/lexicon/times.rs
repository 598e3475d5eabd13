//! Phrases of time, each fitting certain tenses, and what may stand beside them.

/// `tense | phrases`; `=` joins phrases that mean the same.
pub(super) const TIMES: &str = "
past | yesterday, last week, last night, on Monday, on Tuesday, on Wednesday, on Thursday, on Friday, on Saturday, on Sunday, two days ago, three weeks ago, a month ago, in 2009, in 2014, in 2017, in 1998, last summer, last winter, in March, in October, in the morning, in the afternoon, in the evening, at noon=at midday, after lunch, before dawn=before sunrise, shortly before midnight, during the storm, during the holidays=during the vacation, on the first day of the year=on New Year's Day, after the meeting, before breakfast, at the weekend, at the end of the month
future | tomorrow, next week, tonight, on Friday, on Saturday, on Monday, next summer, next month, in two days, in three weeks, tomorrow morning, tomorrow evening, after lunch, before breakfast, at noon=at midday, at the weekend, in April, in November, after the holidays=after the vacation, in the coming year=next year
habit | every morning=each morning, every Sunday, every day=daily, twice a week, once a month, in winter=during the winter, in summer=during the summer, on Fridays, after work, before bedtime, at night=during the night, every spring, three times a year, at weekends
perfect | this week, this morning, today, recently=lately, this year, since Monday
progressive | right now=at this moment, today, this afternoon, this morning, at the moment
";
