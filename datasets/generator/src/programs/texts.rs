//! Families about texts and lists of words.

use super::family::{Family, Wordings, families};
use super::value::Kind::{Text, Words};
use super::value::Value;

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// A part of a text, in characters.
fn part(text: &str, from: usize, count: usize) -> String {
    text.chars().skip(from).take(count).collect()
}

fn length(text: &str) -> i64 {
    text.chars().count() as i64
}

/// Every word changed.
fn changed(value: &Value, change: impl Fn(&str) -> String) -> Vec<String> {
    value.words().iter().map(|word| change(word)).collect()
}

/// The words that `keep` keeps.
fn kept(value: &Value, keep: impl Fn(&str) -> bool) -> Vec<String> {
    value.words().iter().filter(|word| keep(word)).cloned().collect()
}

/// The families.
pub(super) const FAMILIES: &[Family] = families! {
    "reverse, mirrored, backwards" [Text];
    "{a} from back to front", "{a} in reverse order", "the letters of {a} reversed";
    "return {a}[::-1]"; |v, _| reversed(v[0].text()).into();

    "upper, shout" [Text];
    "{a} in capital letters", "{a} in upper case", "{a} with all letters made capital";
    "return {a}.upper()"; |v, _| v[0].text().to_uppercase().into();

    "title, capital" [Text];
    "{a} with a capital at the start", "{a} with its first letter in upper case", "{a} with the first letter made capital";
    "return {a}.capitalize()";
    |v, _| format!("{}{}", part(v[0].text(), 0, 1).to_uppercase(), part(v[0].text(), 1, 99)).into();

    "length, count, letters" [Text];
    "the count of letters in {a}", "the length of {a}", "how many letters {a} has";
    "return len({a})"; |v, _| length(v[0].text()).into();

    "repeat, echo" [Text];
    "{a} times {k}", "{a} repeated {k} times", "a text of {k} times {a}";
    "return {a} * {k}"; |v, c| v[0].text().repeat(c.k as usize).into();

    "first_letter, initial" [Text];
    "the letter at the start of {a}", "the first letter of {a}", "the letter that {a} starts with";
    "return {a}[0]"; |v, _| part(v[0].text(), 0, 1).into();

    "last_letter, ending" [Text];
    "the letter at the end of {a}", "the last letter of {a}", "the letter that {a} ends with";
    "return {a}[-1]"; |v, _| part(&reversed(v[0].text()), 0, 1).into();

    "first_letters, prefix" [Text];
    "{a} up to {k} letters", "the first {k} letters of {a}", "at most {k} letters from the start of {a}";
    "return {a}[:{k}]"; |v, c| part(v[0].text(), 0, c.k as usize).into();

    "skip, tail" [Text];
    "{a} after {k} letters", "{a} without its first {k} letters", "what is left of {a} behind {k} letters";
    "return {a}[{k}:]"; |v, c| part(v[0].text(), c.k as usize, 99).into();

    "longer, is_longer" [Text];
    "whether {a} is longer than {k}", "whether {a} has more than {k} letters", "whether the length of {a} exceeds {k}";
    "return len({a}) > {k}"; |v, c| (length(v[0].text()) > c.k).into();

    "palindrome, is_mirrored" [Text];
    "whether {a} is the same from back to front", "whether {a} is a palindrome", "whether {a} equals itself reversed";
    "return {a} == {a}[::-1]"; |v, _| (v[0].text() == reversed(v[0].text())).into();

    "count_e, es" [Text];
    "the count of e in {a}", "how many times e is in {a}", "how often e occurs in {a}";
    "return {a}.count('e')"; |v, _| (v[0].text().matches('e').count() as i64).into();

    "starts_with_p, has_p_first" [Text];
    "whether p is at the start of {a}", "whether {a} starts with p", "whether the first letter of {a} is p";
    "return {a}.startswith('p')"; |v, _| v[0].text().starts_with('p').into();

    "join_both, concat" [Text, Text];
    "{a} plus {b}", "{a} followed by {b}", "one text of {a} and then {b}";
    "return {a} + {b}"; |v, _| format!("{}{}", v[0].text(), v[1].text()).into();

    "contains, includes" [Text, Text];
    "whether {b} occurs in {a}", "whether {b} is in {a}", "whether {a} has {b} in it";
    "return {b} in {a}"; |v, _| v[0].text().contains(v[1].text()).into();

    "same_length, equally_long" [Text, Text];
    "whether {a} and {b} are equally long", "whether {a} and {b} have the same length",
    "whether {a} has as many letters as {b}";
    "return len({a}) == len({b})"; |v, _| (length(v[0].text()) == length(v[1].text())).into();

    "sentence, join" [Words];
    "all of {a} with spaces", "{a} joined by spaces", "one text of the words in {a} with a space between them";
    "return ' '.join({a})"; |v, _| v[0].words().join(" ").into();

    "lengths, sizes" [Words];
    "the count of letters of all of {a}", "the lengths of the words in {a}", "a list of how long each in {a} is";
    "return [len(w) for w in {a}]"; |v, _| v[0].words().iter().map(|word| length(word)).collect::<Vec<_>>().into();

    "longest, longest_word" [Words];
    "the word with most letters in {a}", "the longest word in {a}", "the word in {a} of the greatest length";
    "return max({a}, key=len)";
    |v, _| v[0].words().iter().rev().max_by_key(|word| length(word)).cloned().unwrap_or_default().into();

    "upper_all, shout_all" [Words];
    "all of {a} in capital letters", "the words in {a} in upper case", "a list of each in {a} made capital";
    "return [w.upper() for w in {a}]"; |v, _| changed(&v[0], str::to_uppercase).into();

    "reverse_all, mirror_all" [Words];
    "all of {a} from back to front", "the words in {a} in reverse order of letters", "a list of each in {a} reversed";
    "return [w[::-1] for w in {a}]"; |v, _| changed(&v[0], reversed).into();

    "initials, first_of_all" [Words];
    "the letter at the start of all of {a}", "the first letters of the words in {a}",
    "a list of the letter that each in {a} starts with";
    "return [w[0] for w in {a}]"; |v, _| changed(&v[0], |word| part(word, 0, 1)).into();

    "long_words, longer_than" [Words];
    "only those of {a} longer than {k}", "the words in {a} with more than {k} letters",
    "those in {a} whose length exceeds {k}";
    "return [w for w in {a} if len(w) > {k}]"; |v, c| kept(&v[0], |word| length(word) > c.k).into();

    "total_length, letters" [Words];
    "the lengths of {a} added up", "the sum of the lengths of the words in {a}", "how many letters {a} has in total";
    "return sum(len(w) for w in {a})"; |v, _| v[0].words().iter().map(|word| length(word)).sum::<i64>().into();
};
