//! Families about one or two numbers.

use super::family::{Family, Wordings, families};
use super::value::Kind::Int;

/// Sum of the decimal digits.
fn digits(number: i64) -> i64 {
    number.to_string().bytes().map(|digit| i64::from(digit - b'0')).sum()
}

/// The size as a word.
fn size(is_large: bool) -> String {
    (if is_large { "large" } else { "small" }).to_owned()
}

/// The families.
pub(super) const FAMILIES: &[Family] = families! {
    "add, plus, raised" [Int];
    "{a} plus {k}", "the sum of {a} and {k}", "{a} increased by {k}";
    "return {a} + {k}"; |v, c| (v[0].int() + c.k).into();

    "minus, reduce, lower" [Int];
    "{a} minus {k}", "the difference of {a} and {k}", "{a} reduced by {k}";
    "return {a} - {k}"; |v, c| (v[0].int() - c.k).into();

    "times, scale, multiple" [Int];
    "{a} times {k}", "the product of {a} and {k}", "{a} multiplied by {k}";
    "return {a} * {k}"; |v, c| (v[0].int() * c.k).into();

    "square, squared" [Int];
    "{a} squared", "the square of {a}", "the second power of {a}";
    "return {a} * {a}"; |v, _| v[0].int().pow(2).into();

    "cube, cubed" [Int];
    "{a} cubed", "the cube of {a}", "the third power of {a}";
    "return {a} ** 3"; |v, _| v[0].int().pow(3).into();

    "remainder, rest, modulo" [Int];
    "{a} modulo {k}", "the remainder of {a} by {k}", "the rest of {a} after division by {k}";
    "return {a} % {k}"; |v, c| (v[0].int() % c.k).into();

    "divide, quotient, share" [Int];
    "{a} divided by {k} without rest", "the quotient of {a} by {k}", "the whole part of {a} divided by {k}";
    "return {a} // {k}"; |v, c| (v[0].int() / c.k).into();

    "divisible, is_multiple" [Int];
    "whether {a} is a multiple of {k}", "whether {a} is divisible by {k}", "whether {k} divides {a}";
    "return {a} % {k} == 0"; |v, c| (v[0].int() % c.k == 0).into();

    "above, is_above, exceeds" [Int];
    "whether {a} is above {k}", "whether {a} is greater than {k}", "whether {a} exceeds {k}";
    "return {a} > {k}"; |v, c| (v[0].int() > c.k).into();

    "below, is_below, is_under" [Int];
    "whether {a} is below {k}", "whether {a} is less than {k}", "whether {a} stays under {k}";
    "return {a} < {k}"; |v, c| (v[0].int() < c.k).into();

    "between, in_range" [Int];
    "whether {a} lies from {k} to {m}", "whether {a} is between {k} and {m}", "whether {a} is in the range from {k} to {m}";
    "return {k} <= {a} <= {m}"; |v, c| (c.k <= v[0].int() && v[0].int() <= c.m).into();

    "linear, line" [Int];
    "{a} times {k} plus {m}", "the sum of {m} and {k} times {a}", "{k} times {a} increased by {m}";
    "return {k} * {a} + {m}"; |v, c| (c.k * v[0].int() + c.m).into();

    "is_even, even" [Int];
    "whether {a} is an even number", "whether {a} is even", "whether {a} has no rest by two";
    "return {a} % 2 == 0"; |v, _| (v[0].int() % 2 == 0).into();

    "is_odd, odd" [Int];
    "whether {a} is an odd number", "whether {a} is odd", "whether {a} is not even";
    "return {a} % 2 == 1"; |v, _| (v[0].int() % 2 == 1).into();

    "cap, at_most" [Int];
    "{a} but at most {k}", "the minimum of {a} and {k}", "{a} limited to at most {k}";
    "return min({a}, {k})"; |v, c| v[0].int().min(c.k).into();

    "at_least, floor" [Int];
    "{a} but at least {k}", "the maximum of {a} and {k}", "{a} raised to at least {k}";
    "return max({a}, {k})"; |v, c| v[0].int().max(c.k).into();

    "distance, gap" [Int];
    "how far {a} is from {k}", "the distance of {a} from {k}", "the absolute difference of {a} and {k}";
    "return abs({a} - {k})"; |v, c| (v[0].int() - c.k).abs().into();

    "size, describe, label" [Int];
    "the word large for {a} above {k} else small", "large if {a} is above {k} and small otherwise",
    "whether {a} is large, which is above {k}, or small";
    "if {a} > {k}:\n    return 'large'\nreturn 'small'"; |v, c| size(v[0].int() > c.k).into();

    "doubled, double_large" [Int];
    "{a} doubled above {k} else {a}", "twice {a} if {a} is above {k} and {a} otherwise",
    "{a}, but twice as much where it is above {k}";
    "if {a} > {k}:\n    return 2 * {a}\nreturn {a}";
    |v, c| (if v[0].int() > c.k { 2 * v[0].int() } else { v[0].int() }).into();

    "sum_to, triangle" [Int];
    "the sum of all numbers up to {a}", "the sum of the numbers from 1 to {a}", "1 and so on up to {a} added up";
    "return sum(range({a} + 1))"; |v, _| (v[0].int() * (v[0].int() + 1) / 2).into();

    "digits, digit_count" [Int];
    "the count of digits in {a}", "the number of digits of {a}", "how many digits {a} has";
    "return len(str({a}))"; |v, _| (v[0].int().to_string().len() as i64).into();

    "digit_sum, sum_digits" [Int];
    "the digits of {a} added up", "the sum of the digits of {a}", "the total of all digits in {a}";
    "return sum(int(d) for d in str({a}))"; |v, _| digits(v[0].int()).into();

    "multiples, table" [Int];
    "the first {k} multiples of {a}", "a list of {a} times 1 to {k}", "the multiples of {a} from 1 up to {k}";
    "return [{a} * i for i in range(1, {k} + 1)]";
    |v, c| (1..=c.k).map(|i| v[0].int() * i).collect::<Vec<_>>().into();

    "total, add_both, sum_of" [Int, Int];
    "{a} plus {b}", "the sum of {a} and {b}", "{a} increased by {b}";
    "return {a} + {b}"; |v, _| (v[0].int() + v[1].int()).into();

    "difference, subtract" [Int, Int];
    "{a} minus {b}", "the difference of {a} and {b}", "{a} reduced by {b}";
    "return {a} - {b}"; |v, _| (v[0].int() - v[1].int()).into();

    "product, multiply" [Int, Int];
    "{a} times {b}", "the product of {a} and {b}", "{a} multiplied by {b}";
    "return {a} * {b}"; |v, _| (v[0].int() * v[1].int()).into();

    "larger, greater" [Int, Int];
    "the larger of {a} and {b}", "the maximum of {a} and {b}", "whichever of {a} and {b} is greater";
    "return max({a}, {b})"; |v, _| v[0].int().max(v[1].int()).into();

    "smaller, lesser" [Int, Int];
    "the smaller of {a} and {b}", "the minimum of {a} and {b}", "whichever of {a} and {b} is less";
    "return min({a}, {b})"; |v, _| v[0].int().min(v[1].int()).into();

    "is_greater, beats" [Int, Int];
    "whether {a} is above {b}", "whether {a} is greater than {b}", "whether {a} exceeds {b}";
    "return {a} > {b}"; |v, _| (v[0].int() > v[1].int()).into();

    "scaled_sum, sum_times" [Int, Int];
    "{a} plus {b} all times {k}", "{k} times the sum of {a} and {b}", "the sum of {a} and {b} multiplied by {k}";
    "return ({a} + {b}) * {k}"; |v, c| ((v[0].int() + v[1].int()) * c.k).into();

    "squares, sum_squares" [Int, Int];
    "{a} squared plus {b} squared", "the sum of the squares of {a} and {b}", "the squares of {a} and {b} added up";
    "return {a} * {a} + {b} * {b}"; |v, _| (v[0].int().pow(2) + v[1].int().pow(2)).into();

    "average, mean" [Int, Int];
    "half of {a} plus {b}", "the average of {a} and {b}", "the mean of {a} and {b}, without rest";
    "return ({a} + {b}) // 2"; |v, _| ((v[0].int() + v[1].int()) / 2).into();
};
