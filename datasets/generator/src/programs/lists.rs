//! Families about lists of numbers.

use super::family::{Family, Wordings, families};
use super::value::Kind::{Int, Ints};
use super::value::Value;

/// The numbers that `keep` keeps.
fn kept(value: &Value, keep: impl Fn(i64) -> bool) -> Vec<i64> {
    value.ints().iter().copied().filter(|&number| keep(number)).collect()
}

/// Every number changed.
fn changed(value: &Value, change: impl Fn(i64) -> i64) -> Vec<i64> {
    value.ints().iter().copied().map(change).collect()
}

fn largest(value: &Value) -> i64 {
    value.ints().iter().copied().max().unwrap_or(0)
}

fn smallest(value: &Value) -> i64 {
    value.ints().iter().copied().min().unwrap_or(0)
}

fn sorted(value: &Value) -> Vec<i64> {
    let mut numbers = value.ints().to_vec();
    numbers.sort_unstable();
    numbers
}

fn count(numbers: &[i64]) -> i64 {
    numbers.len() as i64
}

/// The families.
pub(super) const FAMILIES: &[Family] = families! {
    "total, sum_all, sum_list" [Ints];
    "all of {a} added up", "the sum of {a}", "the total of the numbers in {a}";
    "return sum({a})"; |v, _| v[0].ints().iter().sum::<i64>().into();

    "largest, maximum" [Ints];
    "the maximum of {a}", "the largest number in {a}", "the greatest of all in {a}";
    "return max({a})"; |v, _| largest(&v[0]).into();

    "smallest, minimum" [Ints];
    "the minimum of {a}", "the smallest number in {a}", "the least of all in {a}";
    "return min({a})"; |v, _| smallest(&v[0]).into();

    "spread, width" [Ints];
    "the maximum minus the minimum of {a}", "the difference of the largest and the smallest number in {a}",
    "how far the greatest in {a} is from the least";
    "return max({a}) - min({a})"; |v, _| (largest(&v[0]) - smallest(&v[0])).into();

    "count, length, size" [Ints];
    "the count of numbers in {a}", "the length of {a}", "how many numbers {a} has";
    "return len({a})"; |v, _| count(v[0].ints()).into();

    "count_above, how_many" [Ints];
    "the count of numbers in {a} above {k}", "how many numbers in {a} are greater than {k}",
    "the number of those in {a} that exceed {k}";
    "return sum(1 for v in {a} if v > {k})"; |v, c| count(&kept(&v[0], |number| number > c.k)).into();

    "count_of, occurrences" [Ints];
    "the count of {k} in {a}", "how many times {k} is in {a}", "how often {k} occurs in {a}";
    "return {a}.count({k})"; |v, c| count(&kept(&v[0], |number| number == c.k)).into();

    "keep_above, over" [Ints];
    "only those of {a} above {k}", "the numbers in {a} that are greater than {k}", "those in {a} that exceed {k}";
    "return [v for v in {a} if v > {k}]"; |v, c| kept(&v[0], |number| number > c.k).into();

    "keep_below, under" [Ints];
    "only those of {a} below {k}", "the numbers in {a} that are less than {k}", "those in {a} that stay under {k}";
    "return [v for v in {a} if v < {k}]"; |v, c| kept(&v[0], |number| number < c.k).into();

    "evens, even_numbers" [Ints];
    "only the even ones of {a}", "the even numbers in {a}", "those in {a} that are even";
    "return [v for v in {a} if v % 2 == 0]"; |v, _| kept(&v[0], |number| number % 2 == 0).into();

    "odds, odd_numbers" [Ints];
    "only the odd ones of {a}", "the odd numbers in {a}", "those in {a} that are odd";
    "return [v for v in {a} if v % 2 == 1]"; |v, _| kept(&v[0], |number| number % 2 == 1).into();

    "without, remove" [Ints];
    "only those of {a} other than {k}", "the numbers in {a} without {k}", "those in {a} that are not {k}";
    "return [v for v in {a} if v != {k}]"; |v, c| kept(&v[0], |number| number != c.k).into();

    "scale_all, times_all" [Ints];
    "all of {a} times {k}", "the numbers in {a} multiplied by {k}", "a list of {k} times each in {a}";
    "return [v * {k} for v in {a}]"; |v, c| changed(&v[0], |number| number * c.k).into();

    "shift, add_all" [Ints];
    "all of {a} plus {k}", "the numbers in {a} increased by {k}", "a list of each in {a} and {k} added up";
    "return [v + {k} for v in {a}]"; |v, c| changed(&v[0], |number| number + c.k).into();

    "squares, square_all" [Ints];
    "all of {a} squared", "the squares of the numbers in {a}", "a list of the second power of each in {a}";
    "return [v * v for v in {a}]"; |v, _| changed(&v[0], |number| number * number).into();

    "reverse, backwards" [Ints];
    "{a} from back to front", "{a} in reverse order", "the numbers in {a} reversed";
    "return {a}[::-1]"; |v, _| v[0].ints().iter().rev().copied().collect::<Vec<_>>().into();

    "ascending, ordered" [Ints];
    "{a} from small to large", "{a} in ascending order", "the numbers in {a} sorted";
    "return sorted({a})"; |v, _| sorted(&v[0]).into();

    "first_items, take" [Ints];
    "{a} up to {k} items", "the first {k} items of {a}", "at most {k} numbers from the start of {a}";
    "return {a}[:{k}]"; |v, c| v[0].ints().iter().take(c.k as usize).copied().collect::<Vec<_>>().into();

    "first, head" [Ints];
    "the item at the start of {a}", "the first item of {a}", "the number that {a} starts with";
    "return {a}[0]"; |v, _| v[0].ints()[0].into();

    "last, final" [Ints];
    "the item at the end of {a}", "the last item of {a}", "the number that {a} ends with";
    "return {a}[-1]"; |v, _| v[0].ints()[v[0].ints().len() - 1].into();

    "contains, has" [Ints];
    "whether {k} occurs in {a}", "whether {k} is in {a}", "whether {a} has {k} in it";
    "return {k} in {a}"; |v, c| v[0].ints().contains(&c.k).into();

    "even_sum, sum_even" [Ints];
    "only the even ones of {a} added up", "the sum of the even numbers in {a}", "the total of those in {a} that are even";
    "return sum(v for v in {a} if v % 2 == 0)";
    |v, _| kept(&v[0], |number| number % 2 == 0).iter().sum::<i64>().into();

    "any_above, some_above" [Ints];
    "whether any of {a} is above {k}", "whether some number in {a} is greater than {k}",
    "whether one of all in {a} exceeds {k}";
    "return any(v > {k} for v in {a})"; |v, c| v[0].ints().iter().any(|&number| number > c.k).into();

    "distinct, different" [Ints];
    "the count of different numbers in {a}", "how many different numbers {a} has", "the number of distinct ones in {a}";
    "return len(set({a}))";
    |v, _| { let mut numbers = sorted(&v[0]); numbers.dedup(); count(&numbers).into() };

    "append, with_last" [Ints, Int];
    "{a} with {b} at the end", "{a} followed by {b}", "a list of all in {a} and then {b}";
    "return {a} + [{b}]"; |v, _| [v[0].ints(), &[v[1].int()]].concat().into();
};
