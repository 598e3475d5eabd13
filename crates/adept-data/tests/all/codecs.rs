//! Compressed files are either read or rejected with the codec's name and a remedy, never reported as corrupt.

use std::fs;
use std::sync::Arc;

use adept_data::{Example, LoadOptions, Task, load_task};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

fn load(files: &[(&str, &[u8])]) -> Result<Vec<Example>, String> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(root.path().join(name), bytes).expect("a writable folder");
    }
    load_from(root.path(), root.path())
}

fn load_from(root: &std::path::Path, data: &std::path::Path) -> Result<Vec<Example>, String> {
    let task = Task::named("text").expect("a task's name");
    let loaded = load_task(&task, data, &LoadOptions::default());
    let folder = format!("{}/", root.display());
    let mut rows = loaded
        .map(|data| [data.train, data.validation, data.test].concat())
        .map_err(|error| error.to_string().replace(&folder, ""))?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

/// Two columns of 200 texts that compress well.
fn parquet(codec: Compression, version: WriterVersion) -> Vec<u8> {
    let schema = "message rows { required binary source (STRING); optional binary target (STRING); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_writer_version(version)
        .set_dictionary_enabled(false);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let texts: Vec<ByteArray> = (0..200)
        .map(|row| format!("a long text {}", row % 7).as_str().into())
        .collect();
    for levels in [None, Some(vec![1; 200])] {
        let mut column = group.next_column().expect("a column").expect("the schema's column");
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, levels.as_deref(), None)
            .expect("texts");
        column.close().expect("a column");
    }
    group.close().expect("a row group");
    writer.into_inner().expect("a file")
}

#[test]
fn parquet_is_read_in_every_codec() {
    let plain = parquet(Compression::UNCOMPRESSED, WriterVersion::PARQUET_1_0);
    let expected = load(&[("train.parquet", &plain)]).expect("rows");
    assert_eq!(expected.len(), 200);
    for codec in [
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
    ] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let bytes = parquet(codec, version);
            assert!(bytes.len() < plain.len(), "{codec:?} compresses");
            assert_eq!(load(&[("train.parquet", &bytes)]).as_ref(), Ok(&expected), "{codec:?}");
        }
    }
}

/// No writer at hand supports LZO, so the codec of a written file is patched in its footer.
#[test]
fn a_codec_that_is_not_read_is_named() {
    let mut bytes = parquet(Compression::SNAPPY, WriterVersion::PARQUET_1_0);
    let (body, footer) = {
        let end = bytes.len() - 8;
        let length = u32::from_le_bytes(bytes[end..end + 4].try_into().expect("four bytes")) as usize;
        (end - length, end)
    };
    // Field 4 of a column's metadata, after the list of its path: a zigzag number, where SNAPPY is 1 and LZO 3.
    let mut changed = 0;
    for name in [&b"source"[..], b"target"] {
        let path = [&[0x18, 0x06][..], name, &[0x15, 0x02]].concat();
        let path = &path[1..];
        let found = bytes[body..footer]
            .windows(path.len())
            .rposition(|window| window == path);
        let at = body + found.expect("a column's path") + path.len() - 1;
        bytes[at] = 0x06;
        changed += 1;
    }
    assert_eq!(changed, 2);
    let message = load(&[("train.parquet", &bytes)]).expect_err("LZO");
    assert_eq!(
        message,
        "train.parquet: column `source`: expected a supported codec (none, snappy, gzip, brotli, zstd, lz4), found LZO; \
         rewrite the file with one of them"
    );
}

const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\x00";
const BZIP2: &[u8] = b"BZh91AY&SY\0";
const XZ: &[u8] = b"\xfd7zXZ\0\0";
const ZIP: &[u8] = b"PK\x03\x04\x14\0";
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";

#[test]
fn archives_are_called_what_they_are() {
    for (ending, bytes, words) in [
        ("zst", ZSTD, "found zstd: decompress it first (`zstd -d`)"),
        ("bz2", BZIP2, "found bzip2: decompress it first (`bzip2 -d`)"),
        ("xz", XZ, "found xz: decompress it first (`xz -d`)"),
        ("zip", ZIP, "found a zip archive: unpack it first (`unzip`)"),
    ] {
        for format in ["jsonl", "json", "csv", "tsv"] {
            // Under its own name, in a folder and on its own, and under another name.
            let own = format!("train.{format}.{ending}");
            let expected = Err(format!("{own}: expected text, plain or gzip, {words}"));
            assert_eq!(load(&[(&own, bytes)]), expected);
            let root = tempfile::tempdir().expect("a temporary folder");
            fs::write(root.path().join(&own), bytes).expect("a writable folder");
            assert_eq!(load_from(root.path(), &root.path().join(&own)), expected);
            let other = format!("train.{format}");
            let expected = Err(format!("{other}: expected text, plain or gzip, {words}"));
            assert_eq!(load(&[(&other, bytes)]), expected);
        }
    }
}

#[test]
fn stand_ins_are_called_what_they_are() {
    for name in ["train.jsonl", "train.csv", "train.tsv", "train.parquet"] {
        let message = load(&[(name, POINTER)]).expect_err("a pointer");
        assert!(
            message.starts_with(&format!(
                "{name}: a Git LFS pointer, not the file of 12 bytes; run `git lfs pull`"
            )),
            "{message}"
        );
    }
    let parquet = parquet(Compression::SNAPPY, WriterVersion::PARQUET_1_0);
    let message = load(&[("train.jsonl", &parquet)]).expect_err("parquet");
    assert!(
        message.ends_with("found parquet: its name has to end in .parquet"),
        "{message}"
    );
}
