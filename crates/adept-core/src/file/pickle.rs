//! A pickle reader that executes nothing.
//!
//! A pickle is a program for a stack machine, and Python's own reader calls any function it names. This reader supports
//! only the few opcodes and the five globals that a dictionary of tensors needs and refuses everything else by name.
//! Values live in an arena and refer to each other by index, so a file cannot make them grow: memory stays proportional
//! to the length of the pickle, whatever it contains.

use std::collections::HashMap;

use super::load::Element;
use crate::PickleProblem;

/// A tensor as described by the pickle; its values are in a separate file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PickledTensor {
    pub storage: Storage,
    /// First element, in elements of the storage.
    pub offset: u64,
    pub shape: Vec<usize>,
    /// Strides in elements, one per dimension.
    pub strides: Vec<u64>,
    /// Offset in the pickle at which the tensor was built.
    pub position: usize,
}

/// A block of values in a file of the archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    pub element: StorageType,
    /// Name of the file.
    pub key: String,
    /// Number of elements.
    pub length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StorageType {
    Float(Element),
    /// A PyTorch type that adapters do not use.
    Other(&'static str),
}

/// Name of a tensor that stands alone, without a dictionary.
const BARE: &str = "the tensor";
/// An adapter has at most five tensors, each of at most two dimensions.
const MAX_TENSORS: usize = 64;
const MAX_DIMENSIONS: usize = 8;
/// Limit on the values and memo entries of a pickle: [`MAX_TENSORS`] tensors need about 1,500. A single byte of a
/// pickle can create a value that occupies many.
const MAX_VALUES: usize = 2048;
/// PyTorch's keys are numbers and its functions take six or seven arguments. These limits bound what one instruction
/// copies.
const MAX_KEY: usize = 64;
const MAX_ARGUMENTS: usize = 16;

/// Index of a value in the arena.
type Ref = usize;

#[derive(Debug)]
enum Value {
    None,
    Bool,
    Int(i64),
    Text(String),
    Tuple(Vec<Ref>),
    List,
    Dict(Vec<(Ref, Ref)>),
    Global(Global),
    Storage(Box<Storage>),
    Tensor(Box<PickledTensor>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool => "a bool",
            Value::Int(_) => "an int",
            Value::Text(_) => "a str",
            Value::Tuple(_) => "a tuple",
            Value::List => "a list",
            Value::Dict(_) => "a dict",
            Value::Global(_) => "a function or class",
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageType(StorageType),
}

fn global(module: &str, name: &str) -> Result<Global, PickleProblem> {
    let storage = |name: &str| {
        let element = match name {
            "FloatStorage" => StorageType::Float(Element::F32),
            "HalfStorage" => StorageType::Float(Element::F16),
            "BFloat16Storage" => StorageType::Float(Element::Bf16),
            "DoubleStorage" => StorageType::Other("f64"),
            "LongStorage" => StorageType::Other("i64"),
            "IntStorage" => StorageType::Other("i32"),
            "ShortStorage" => StorageType::Other("i16"),
            "CharStorage" => StorageType::Other("i8"),
            "ByteStorage" => StorageType::Other("u8"),
            "BoolStorage" => StorageType::Other("bool"),
            _ => return None,
        };
        Some(Global::StorageType(element))
    };
    let allowed = match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("torch", name) => storage(name),
        _ => None,
    };
    allowed.ok_or_else(|| PickleProblem::ForbiddenGlobal {
        module: module.to_string(),
        name: name.to_string(),
    })
}

/// Reads the dictionary of tensors, or the single tensor, in a pickle; an error carries the offset of the instruction that
/// caused it.
pub(super) fn read(pickle: &[u8]) -> Result<Vec<(String, PickledTensor)>, (usize, PickleProblem)> {
    let mut machine = Machine {
        pickle,
        position: 0,
        arena: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let start = machine.position;
        match machine.step(start) {
            Ok(None) => {}
            Ok(Some(result)) => return machine.tensors(result).map_err(|problem| (start, problem)),
            Err(problem) => return Err((start, problem)),
        }
    }
}

struct Machine<'a> {
    pickle: &'a [u8],
    position: usize,
    arena: Vec<Value>,
    stack: Vec<Ref>,
    /// Stack heights of the open MARKs.
    marks: Vec<usize>,
    memo: HashMap<u64, Ref>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction; STOP returns the result.
    fn step(&mut self, start: usize) -> Result<Option<Ref>, PickleProblem> {
        match self.take::<1>()?[0] {
            // PROTO and FRAME carry nothing relevant here.
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'.' => return self.pop().map(Some),
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Bool)?,
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.push(Value::Int(value.into()))?;
            }
            b'K' => {
                let [value] = self.take()?;
                self.push(Value::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.push(Value::Int(value.into()))?;
            }
            0x8a => self.long()?,
            b'X' => {
                let length = u32::from_le_bytes(self.take()?);
                self.text(length as usize)?;
            }
            0x8c => {
                let [length] = self.take()?;
                self.text(length.into())?;
            }
            b')' => self.push(Value::Tuple(vec![]))?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b']' => self.push(Value::List)?,
            b'}' => self.push(Value::Dict(vec![]))?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(items)?;
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Value::Global(global(module, name)?))?;
            }
            // STACK_GLOBAL, from later protocols.
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                let found = global(self.text_at(module)?, self.text_at(name)?)?;
                self.push(Value::Global(found))?;
            }
            b'R' => self.reduce(start)?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            b'q' => {
                let [key] = self.take()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.take()?);
                self.remember(key.into())?;
            }
            // MEMOIZE numbers its entries implicitly.
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => {
                let [key] = self.take()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.take()?);
                self.recall(key.into())?;
            }
            opcode => return Err(PickleProblem::ForbiddenOpcode { opcode }),
        }
        Ok(None)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleProblem> {
        let rest = self.pickle.get(self.position..).unwrap_or_default();
        let bytes = rest.first_chunk::<N>().ok_or(PickleProblem::Truncated)?;
        self.position += N;
        Ok(*bytes)
    }

    /// The rest of the line, the argument format of GLOBAL.
    fn line(&mut self) -> Result<&'a str, PickleProblem> {
        let rest = &self.pickle[self.position..];
        let length = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(PickleProblem::Truncated)?;
        self.position += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|error| unexpected("UTF-8 text", error))
    }

    fn text(&mut self, length: usize) -> Result<(), PickleProblem> {
        let rest = &self.pickle[self.position..];
        let bytes = rest.get(..length).ok_or(PickleProblem::Truncated)?;
        self.position += length;
        let text = std::str::from_utf8(bytes).map_err(|error| unexpected("UTF-8 text", error))?;
        self.push(Value::Text(text.to_string()))
    }

    /// LONG1: a little-endian two's complement integer, preceded by its length in bytes.
    fn long(&mut self) -> Result<(), PickleProblem> {
        let [length] = self.take()?;
        let length = usize::from(length);
        let rest = &self.pickle[self.position..];
        let bytes = rest.get(..length).ok_or(PickleProblem::Truncated)?;
        if length > 8 {
            return Err(unexpected("an integer of at most 8 bytes", length));
        }
        self.position += length;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        whole[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(whole)))
    }

    fn push(&mut self, value: Value) -> Result<(), PickleProblem> {
        within("the number of values", self.arena.len() + 1, MAX_VALUES)?;
        self.stack.push(self.arena.len());
        self.arena.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Ref, PickleProblem> {
        // Values below a MARK belong to the enclosing one.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(unexpected("a value", "an empty stack"));
        }
        self.stack.pop().ok_or_else(|| unexpected("a value", "an empty stack"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Ref>, PickleProblem> {
        let mark = self.marks.pop().ok_or_else(|| unexpected("a mark", "none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), PickleProblem> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn remember(&mut self, key: u64) -> Result<(), PickleProblem> {
        let top = self
            .stack
            .last()
            .copied()
            .ok_or_else(|| unexpected("a value", "an empty stack"))?;
        within("the number of remembered values", self.memo.len() + 1, MAX_VALUES)?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), PickleProblem> {
        let value = self
            .memo
            .get(&key)
            .copied()
            .ok_or_else(|| unexpected("a remembered value", "none"))?;
        self.stack.push(value);
        Ok(())
    }

    /// Adds key, value, key, value, .. to the dictionary at the top of the stack.
    fn insert(&mut self, items: Vec<Ref>) -> Result<(), PickleProblem> {
        let dict = self
            .stack
            .last()
            .copied()
            .ok_or_else(|| unexpected("a dict", "an empty stack"))?;
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(unexpected("pairs of key and value", "a key without value"));
        }
        match &mut self.arena[dict] {
            Value::Dict(entries) => entries.extend(pairs.iter().map(|&[key, value]| (key, value))),
            other => return Err(unexpected("a dict", other.kind())),
        }
        Ok(())
    }

    /// REDUCE: a call of one of the three known functions. It is not executed; the value it would create is built
    /// directly.
    fn reduce(&mut self, position: usize) -> Result<(), PickleProblem> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let arguments = self.tuple_at(arguments)?;
        within("the number of arguments", arguments.len(), MAX_ARGUMENTS)?;
        let made = match (&self.arena[callable], arguments) {
            (Value::Global(Global::OrderedDict), []) => Value::Dict(vec![]),
            (Value::Global(Global::RebuildTensor), [storage, offset, shape, strides, ..]) => {
                Value::Tensor(Box::new(self.tensor(position, *storage, *offset, *shape, *strides)?))
            }
            (Value::Global(Global::RebuildParameter), [tensor, ..]) => match &self.arena[*tensor] {
                Value::Tensor(tensor) => Value::Tensor(tensor.clone()),
                other => return Err(unexpected("a tensor", other.kind())),
            },
            (Value::Global(_), _) => return Err(unexpected("the arguments of a tensor", "others")),
            (other, _) => return Err(unexpected("a function", other.kind())),
        };
        self.push(made)
    }

    /// BUILD: PyTorch attaches a `_metadata` dictionary to its OrderedDict; it is dropped.
    fn build(&mut self) -> Result<(), PickleProblem> {
        let state = self.pop()?;
        let target = self.stack.last().map(|&top| &self.arena[top]);
        match (target, &self.arena[state]) {
            (Some(Value::Dict(_)), Value::Dict(_)) => Ok(()),
            (target, _) => Err(unexpected(
                "a dict with attributes",
                target.map_or("nothing", Value::kind),
            )),
        }
    }

    /// BINPERSID: `("storage", type, key, location, length)`.
    fn persistent(&mut self) -> Result<(), PickleProblem> {
        let id = self.pop()?;
        let &[tag, element, key, _location, length] = self.tuple_at(id)? else {
            return Err(unexpected("the five fields of a storage", "another number"));
        };
        if self.text_at(tag)? != "storage" {
            return Err(unexpected("a storage", self.text_at(tag)?));
        }
        let element = match &self.arena[element] {
            Value::Global(Global::StorageType(element)) => *element,
            other => return Err(unexpected("a type of storage", other.kind())),
        };
        within("the length of a storage's key", self.text_at(key)?.len(), MAX_KEY)?;
        let storage = Storage {
            element,
            key: self.text_at(key)?.to_string(),
            length: self.count_at(length)?,
        };
        self.push(Value::Storage(Box::new(storage)))
    }

    fn tensor(
        &self,
        position: usize,
        storage: Ref,
        offset: Ref,
        shape: Ref,
        strides: Ref,
    ) -> Result<PickledTensor, PickleProblem> {
        let storage = match &self.arena[storage] {
            Value::Storage(storage) => Storage::clone(storage),
            other => return Err(unexpected("a storage", other.kind())),
        };
        let shape = self.counts_at(shape)?;
        let strides = self.counts_at(strides)?;
        if shape.len() != strides.len() {
            let found = format!("{} dimensions, {} strides", shape.len(), strides.len());
            return Err(unexpected("as many strides as dimensions", found));
        }
        let size = |size| usize::try_from(size).map_err(|error| unexpected("a size", error));
        Ok(PickledTensor {
            storage,
            offset: self.count_at(offset)?,
            shape: shape.into_iter().map(size).collect::<Result<_, _>>()?,
            strides,
            position,
        })
    }

    /// The dictionary that STOP leaves, or the only tensor.
    fn tensors(&self, result: Ref) -> Result<Vec<(String, PickledTensor)>, PickleProblem> {
        let entries = match &self.arena[result] {
            Value::Dict(entries) => entries,
            Value::Tensor(tensor) => return Ok(vec![(BARE.to_owned(), PickledTensor::clone(tensor))]),
            other => return Err(unexpected("a dict of tensors", other.kind())),
        };
        within("the number of tensors", entries.len(), MAX_TENSORS)?;
        let entry = |&(key, value): &(Ref, Ref)| match &self.arena[value] {
            Value::Tensor(tensor) => Ok((self.text_at(key)?.to_string(), PickledTensor::clone(tensor))),
            other => Err(unexpected("a tensor", other.kind())),
        };
        entries.iter().map(entry).collect()
    }

    fn text_at(&self, place: Ref) -> Result<&str, PickleProblem> {
        match &self.arena[place] {
            Value::Text(text) => Ok(text),
            other => Err(unexpected("a str", other.kind())),
        }
    }

    fn tuple_at(&self, place: Ref) -> Result<&[Ref], PickleProblem> {
        match &self.arena[place] {
            Value::Tuple(items) => Ok(items),
            other => Err(unexpected("a tuple", other.kind())),
        }
    }

    fn count_at(&self, place: Ref) -> Result<u64, PickleProblem> {
        match &self.arena[place] {
            Value::Int(value) => u64::try_from(*value).map_err(|_| unexpected("an int of at least 0", value)),
            other => Err(unexpected("an int", other.kind())),
        }
    }

    fn counts_at(&self, place: Ref) -> Result<Vec<u64>, PickleProblem> {
        let items = self.tuple_at(place)?;
        within("the number of dimensions", items.len(), MAX_DIMENSIONS)?;
        items.iter().map(|&item| self.count_at(item)).collect()
    }
}

fn unexpected(expected: &'static str, found: impl ToString) -> PickleProblem {
    PickleProblem::Unexpected {
        expected,
        found: found.to_string(),
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), PickleProblem> {
    if found > limit {
        return Err(PickleProblem::Limit { what, limit });
    }
    Ok(())
}
