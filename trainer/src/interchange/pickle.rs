//! The pickle of a dictionary of tensors, as `torch.save` writes it: just what such a file has. Nothing is called, so
//! that a file cannot run code.

use std::collections::HashMap;

/// A tensor by its place in a storage, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strided {
    /// The storage's key, the name of a file of the archive.
    pub storage: String,
    /// The class of the storage, `FloatStorage`.
    pub class: String,
    /// The storage's elements.
    pub elements: usize,
    /// The first element.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

const PROTOCOL: u8 = 2;

/// The pickle of a dictionary.
pub(super) fn write(tensors: &[(String, Strided)]) -> Vec<u8> {
    let mut out = vec![0x80, PROTOCOL, b'}', b'('];
    for (name, tensor) in tensors {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        // The persistent id of the storage.
        out.push(b'(');
        text(&mut out, "storage");
        out.extend(format!("ctorch\n{}\n", tensor.class).bytes());
        text(&mut out, &tensor.storage);
        text(&mut out, "cpu");
        number(&mut out, tensor.elements);
        out.extend(b"tQ");
        number(&mut out, tensor.offset);
        tuple(&mut out, &tensor.shape);
        tuple(&mut out, &tensor.strides);
        // requires_grad, and no backward hooks.
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.bytes());
}

/// As LONG1: eight bytes, little-endian.
fn number(out: &mut Vec<u8>, number: usize) {
    out.extend([0x8a, 8]);
    out.extend((number as u64).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, numbers: &[usize]) {
    out.push(b'(');
    for value in numbers {
        number(out, *value);
    }
    out.push(b't');
}

/// A value of a pickle.
#[derive(Clone, Debug)]
enum Value {
    None,
    Number(i64),
    Text(String),
    /// The name of something importable.
    Name(String),
    List(Vec<Value>),
    Dictionary(Vec<(Value, Value)>),
    Storage {
        key: String,
        class: String,
        elements: usize,
    },
    Tensor(Strided),
}

/// The tensors of a pickled dictionary; entries that are no tensors are left out.
///
/// # Errors
/// Why the pickle cannot be read, as the end of a sentence.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Strided)>, String> {
    let found = Reader { bytes, at: 0 }.run()?;
    let Value::Dictionary(entries) = found else {
        return Err("it is not a dictionary of tensors".into());
    };
    let tensor = |(name, value)| match (name, value) {
        (Value::Text(name), Value::Tensor(tensor)) => Some((name, tensor)),
        _ => None,
    };
    Ok(entries.into_iter().filter_map(tensor).collect())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The values on a reader's stack, and where its marks are.
#[derive(Default)]
struct Stack {
    values: Vec<Value>,
    marks: Vec<usize>,
    memory: HashMap<usize, Value>,
}

impl Stack {
    fn pop(&mut self) -> Result<Value, String> {
        self.values.pop().ok_or_else(|| "it is corrupt".into())
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        self.values.last_mut().ok_or_else(|| "it is corrupt".into())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("it is corrupt")?;
        if mark > self.values.len() {
            return Err("it is corrupt".into());
        }
        Ok(self.values.split_off(mark))
    }

    fn last(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let from = self.values.len().checked_sub(count);
        Ok(self.values.split_off(from.ok_or("it is corrupt")?))
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<(), String> {
        match self.top()? {
            Value::Dictionary(entries) => {
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    entries.push((key, value));
                }
                Ok(())
            }
            _ => Err("it is corrupt".into()),
        }
    }
}

impl Reader<'_> {
    fn run(mut self) -> Result<Value, String> {
        let mut stack = Stack::default();
        loop {
            let code = self.take(1)?[0];
            if code == b'.' {
                return stack.pop();
            }
            if !self.constant(code, &mut stack)? {
                structure(code, &mut self, &mut stack)?;
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or("it is cut short")?;
        self.at += count;
        Ok(taken)
    }

    /// A little-endian number without sign.
    fn unsigned(&mut self, bytes: usize) -> Result<usize, String> {
        let taken = self.take(bytes)?.iter().rev();
        Ok(taken.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn text(&mut self, bytes: usize) -> Result<String, String> {
        let taken = self.take(bytes)?.to_vec();
        String::from_utf8(taken).map_err(|_| "it has a text that is not UTF-8".into())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = self.text(end.ok_or("it is cut short")?)?;
        self.take(1)?;
        Ok(line)
    }

    /// Puts a constant on the stack, or back from memory; false if the code is another.
    fn constant(&mut self, code: u8, stack: &mut Stack) -> Result<bool, String> {
        let value = match code {
            b'N' | 0x88 | 0x89 => Value::None,
            b'K' => Value::Number(self.unsigned(1)? as i64),
            b'M' => Value::Number(self.unsigned(2)? as i64),
            b'J' => Value::Number(i64::from(self.unsigned(4)? as u32 as i32)),
            0x8a => {
                let length = self.unsigned(1)?;
                if length > 8 {
                    return Err("it has a number beyond 64 bits".into());
                }
                Value::Number(self.unsigned(length)? as i64)
            }
            b'G' => {
                self.take(8)?;
                Value::None
            }
            b'X' => {
                let length = self.unsigned(4)?;
                Value::Text(self.text(length)?)
            }
            0x8c => {
                let length = self.unsigned(1)?;
                Value::Text(self.text(length)?)
            }
            b'c' => Value::Name(format!("{}.{}", self.line()?, self.line()?)),
            b')' | b']' => Value::List(Vec::new()),
            b'}' => Value::Dictionary(Vec::new()),
            b'h' | b'j' => {
                let place = self.unsigned(if code == b'h' { 1 } else { 4 })?;
                stack.memory.get(&place).ok_or("it is corrupt")?.clone()
            }
            _ => return Ok(false),
        };
        stack.values.push(value);
        Ok(true)
    }
}

/// Carries out a code that works on the stack.
fn structure(code: u8, reader: &mut Reader<'_>, stack: &mut Stack) -> Result<(), String> {
    match code {
        0x80 => {
            reader.take(1)?;
        }
        b'q' | b'r' => {
            let place = reader.unsigned(if code == b'q' { 1 } else { 4 })?;
            let value = stack.top()?.clone();
            stack.memory.insert(place, value);
        }
        b'(' => stack.marks.push(stack.values.len()),
        b't' => {
            let items = stack.since_mark()?;
            stack.values.push(Value::List(items));
        }
        0x85..=0x87 => {
            let items = stack.last(usize::from(code - 0x84))?;
            stack.values.push(Value::List(items));
        }
        b'Q' => {
            let id = stack.pop()?;
            stack.values.push(storage(id)?);
        }
        b'R' => {
            let (arguments, name) = (stack.pop()?, stack.pop()?);
            stack.values.push(made(name, arguments)?);
        }
        b'u' => {
            let items = stack.since_mark()?;
            stack.set_items(items)?;
        }
        b's' => {
            let items = stack.last(2)?;
            stack.set_items(items)?;
        }
        // The state of an object: a state dictionary has its version there.
        b'b' => {
            stack.pop()?;
        }
        other => {
            return Err(format!(
                "it has more than tensors (pickle code {other:#04x})"
            ));
        }
    }
    Ok(())
}

/// A storage by its persistent id: ("storage", class, key, device, elements).
fn storage(id: Value) -> Result<Value, String> {
    if let Value::List(parts) = id
        && let [
            Value::Text(_),
            Value::Name(class),
            Value::Text(key),
            _,
            Value::Number(elements),
        ] = parts.as_slice()
    {
        return Ok(Value::Storage {
            key: key.clone(),
            class: class.rsplit('.').next().unwrap_or(class).into(),
            elements: size(elements)?,
        });
    }
    Err("it has a storage that is not known".into())
}

/// What a callable gives; of all callables, these are known.
fn made(name: Value, arguments: Value) -> Result<Value, String> {
    let Value::Name(name) = name else {
        return Err("it is corrupt".into());
    };
    match (name.as_str(), arguments) {
        ("collections.OrderedDict", _) => Ok(Value::Dictionary(Vec::new())),
        ("torch._utils._rebuild_parameter", Value::List(parts)) => parts
            .into_iter()
            .next()
            .ok_or_else(|| "it is corrupt".into()),
        ("torch._utils._rebuild_tensor_v2", Value::List(parts)) => match parts.as_slice() {
            [
                Value::Storage {
                    key,
                    class,
                    elements,
                },
                Value::Number(offset),
                Value::List(shape),
                Value::List(strides),
                ..,
            ] => Ok(Value::Tensor(Strided {
                storage: key.clone(),
                class: class.clone(),
                elements: *elements,
                offset: size(offset)?,
                shape: sizes(shape)?,
                strides: sizes(strides)?,
            })),
            _ => Err("it is corrupt".into()),
        },
        (name, _) => Err(format!("it has more than tensors ({name})")),
    }
}

fn size(number: &i64) -> Result<usize, String> {
    usize::try_from(*number).map_err(|_| "it has a negative size".into())
}

fn sizes(values: &[Value]) -> Result<Vec<usize>, String> {
    let each = values.iter().map(|value| match value {
        Value::Number(number) => size(number),
        _ => Err("it is corrupt".into()),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let tensor = |storage: &str| Strided {
            storage: storage.into(),
            class: "FloatStorage".into(),
            elements: 70_000,
            offset: 3,
            shape: vec![2, 300],
            strides: vec![300, 1],
        };
        let all = [("a".to_owned(), tensor("0")), ("b.c".into(), tensor("1"))];
        let bytes = write(&all);
        assert_eq!(read(&bytes).expect("tensors"), all);
        for end in 0..bytes.len() {
            read(&bytes[..end]).expect_err("it is cut short");
        }
    }

    #[test]
    fn what_would_run_code_is_refused() {
        let error = read(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.").expect_err("refused");
        assert_eq!(error, "it has more than tensors (os.system)");
    }
}
