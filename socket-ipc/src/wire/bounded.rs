//! A buffer for messages, with a limit.

use std::io::{self, Write};

/// How many bytes are checked together: one register of every processor.
const BLOCK: usize = 16;

/// Writes to a buffer up to a limit, and counts the bytes beyond it.
pub(super) struct Bounded<'b> {
    buffer: &'b mut Vec<u8>,
    /// The length that the buffer had, and the length that it may get.
    start: usize,
    end: usize,
    /// How many bytes were over the limit.
    over: usize,
    /// Whether all strings so far are ASCII, and all text that [`note_from`](Self::note_from) has looked at.
    is_ascii: bool,
}

impl<'b> Bounded<'b> {
    pub(super) fn new(buffer: &'b mut Vec<u8>, limit: usize) -> Self {
        let start = buffer.len();
        Self { buffer, start, end: start.saturating_add(limit), over: 0, is_ascii: true }
    }

    /// How many bytes were written, stored or not.
    pub(super) fn size(&self) -> usize {
        self.buffer.len() - self.start + self.over
    }

    /// How many bytes were stored.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// What was stored from `at` on.
    pub(super) fn stored_from(&self, at: usize) -> &[u8] {
        &self.buffer[self.start + at..]
    }

    /// Whether all that was stored is ASCII. Strings are looked at as they are written; text that others write is looked
    /// at by [`note_from`](Self::note_from).
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// Looks whether what was stored from `at` on is ASCII.
    pub(super) fn note_from(&mut self, at: usize) {
        self.is_ascii &= self.stored_from(at).is_ascii();
    }

    #[inline]
    pub(super) fn put(&mut self, text: &str) {
        self.put_bytes(text.as_bytes());
    }

    /// Writes several texts, and reserves room for them once.
    #[inline(always)]
    pub(super) fn put_all<const PIECES: usize>(&mut self, texts: [&str; PIECES]) {
        let len = texts.iter().map(|text| text.len()).sum();
        if len <= self.end - self.buffer.len() {
            self.buffer.reserve(len);
            texts.iter().for_each(|text| self.buffer.extend_from_slice(text.as_bytes()));
        } else {
            self.over += len;
        }
    }

    #[inline]
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.end - self.buffer.len() {
            self.buffer.extend_from_slice(bytes);
        } else {
            self.over += bytes.len();
        }
    }

    /// Writes text into a JSON string, with the same escapes that serde_json writes.
    pub(super) fn put_in_string(&mut self, text: &str) {
        let mut text = text.as_bytes();
        while let Some(at) = find_escape(text, &mut self.is_ascii) {
            self.put_bytes(&text[..at]);
            match text[at] {
                same @ (b'"' | b'\\') => self.put_bytes(&[b'\\', same]),
                b'\x08' => self.put("\\b"),
                b'\x0c' => self.put("\\f"),
                b'\n' => self.put("\\n"),
                b'\r' => self.put("\\r"),
                b'\t' => self.put("\\t"),
                control => self.put(&format!("\\u{control:04x}")),
            }
            text = &text[at + 1..];
        }
        self.put_bytes(text);
    }
}

impl Write for Bounded<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put_bytes(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_bytes(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether text is ASCII that needs no escape in a JSON string.
#[inline]
pub(super) fn is_plain(text: &str) -> bool {
    let text = text.as_bytes();
    // The last block overlaps the one before it, so that no byte is checked alone.
    if let Some(last) = text.last_chunk::<BLOCK>() {
        text.as_chunks::<BLOCK>().0.iter().all(is_plain_block) && is_plain_block(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        is_plain_block(first) & is_plain_block(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        is_plain_block(first) & is_plain_block(last)
    } else {
        text.iter().all(|byte| byte.is_ascii() && !needs_escape(*byte))
    }
}

#[inline]
fn is_plain_block<const LEN: usize>(block: &[u8; LEN]) -> bool {
    // As a signed number, a byte that is not ASCII is less than all others: one comparison finds both kinds.
    !(any(block, |byte| byte.cast_signed() < 0x20)
        | any(block, |byte| byte == b'"')
        | any(block, |byte| byte == b'\\'))
}

/// Without a branch for each byte, so that the compiler checks all at once.
#[inline(always)]
fn any<const LEN: usize>(block: &[u8; LEN], is_special: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |any, byte| any | is_special(*byte))
}

/// Where the first byte is that needs an escape in a JSON string. Clears `is_ascii` if a character before it is not
/// ASCII.
#[inline]
fn find_escape(text: &[u8], is_ascii: &mut bool) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let plain = blocks.iter().take_while(|block| is_plain_block(block)).count();
    let before = plain * BLOCK;
    match blocks.get(plain) {
        Some(block) if block.is_ascii() => Some(before + first_escape(*block)),
        Some(_) => {
            *is_ascii = false;
            find_escape_beyond_ascii(&text[before..]).map(|at| before + at)
        }
        // The last block overlaps the one before it, so that no byte is checked alone.
        None if text.last_chunk::<BLOCK>().is_some_and(is_plain_block) => None,
        None => {
            *is_ascii &= rest.is_ascii();
            rest.iter().position(|byte| needs_escape(*byte)).map(|at| before + at)
        }
    }
}

/// The same in text that is not ASCII.
fn find_escape_beyond_ascii(text: &[u8]) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let clean = blocks.iter().take_while(|block| !any(block, needs_escape)).count();
    let found = match blocks.get(clean) {
        Some(block) => Some(first_escape(*block)),
        None => rest.iter().position(|byte| needs_escape(*byte)),
    };
    found.map(|at| clean * BLOCK + at)
}

/// Which byte is the first that needs an escape, in a block that has one.
#[inline]
fn first_escape(block: [u8; BLOCK]) -> usize {
    const EACH: u128 = u128::from_le_bytes([1; BLOCK]);
    let block = u128::from_le_bytes(block);
    // The subtraction sets the highest bit of each byte below `least`, and may set that of a byte after it.
    let below = |bytes: u128, least: u8| bytes.wrapping_sub(EACH * u128::from(least)) & !bytes;
    let equals = |byte: u8| below(block ^ (EACH * u128::from(byte)), 1);
    let found = (below(block, 0x20) | equals(b'"') | equals(b'\\')) & (EACH * 0x80);
    found.trailing_zeros() as usize / 8
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}
