//! Hives: our writer and reader in this process, beside hivexregedit, at several sizes.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use registry::{Encoding, Key, KeyPath, Value, ValueType, reg_text, regf};

use super::Measured;
use crate::shell;

/// How many keys, each with five values.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// hivexregedit is measured at this many keys.
const PEER: usize = 10_000;
const ROOT: &str = r"HKEY_LOCAL_MACHINE\Bench";

/// The hidden verb that measures, with the number of rounds; or does one thing that is measured, and ends.
pub(crate) const VERB: &str = "bench-registry";

pub(crate) fn run(args: &[String]) -> crate::Chore {
    match args {
        [read, files @ ..] if read == "read" => read_hive(files),
        [once, keys, file] if once == "once" => self::once(keys, file),
        [rounds, ..] => measure(&shell::root().join("target/bench"), rounds.parse()?),
        [] => Err("how many rounds?".into()),
    }
}

fn measure(place: &Path, rounds: usize) -> crate::Chore {
    println!("hives, five values a key, the fastest of {rounds}");
    println!("{:>9} {:>9} {:>10} {:>10} {:>10}", "keys", "MiB", "write ms", "read ms", "times hive");
    for keys in SIZES {
        ours(place, keys, rounds)?;
    }
    if !shell::has("hivexregedit") {
        println!("hivexregedit is not here: apt-get install libwin-hivex-perl");
        return Ok(());
    }
    peer(place, rounds)
}

fn ours(place: &Path, keys: usize, rounds: usize) -> Measured<()> {
    let file = place.join("hive");
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // Each in a process of its own: memory that was used before is faster than new memory, if there is enough of it.
        let [write, read] = child(&["once".as_ref(), keys.to_string().as_ref(), file.as_ref()])?;
        writes.push(Duration::from_micros(write));
        reads.push(Duration::from_micros(read));
    }
    // What a process has that reads nothing is not the reader's.
    let ([idle], [peak]) = (child(&["read".as_ref()])?, child(&["read".as_ref(), file.as_ref()])?);
    let bytes = fs::metadata(&file)?.len();
    println!(
        "{keys:>9} {:>9.1} {:>10.1} {:>10.1} {:>10.2}",
        bytes as f64 / f64::from(1 << 20),
        ms(&writes),
        ms(&reads),
        (peak.saturating_sub(idle) * 1024) as f64 / bytes as f64
    );
    Ok(())
}

/// Runs this program with the hidden verb; returns the numbers that it prints.
fn child<const N: usize>(args: &[&OsStr]) -> Measured<[u64; N]> {
    let output = shell::output(Command::new(std::env::current_exe()?).arg(VERB).args(args))?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    numbers.try_into().map_err(|_| format!("unexpected output `{text}`").into())
}

/// Writes a hive and reads it, once; prints the microseconds of both.
fn once(keys: &str, file: &str) -> crate::Chore {
    let tree = tree(keys.parse()?);
    let began = Instant::now();
    let hive = regf::write(&tree, &regf::Header::default())?;
    let (write, began) = (began.elapsed(), Instant::now());
    let back = regf::read(&hive)?;
    println!("{} {}", write.as_micros(), began.elapsed().as_micros());
    if back.root != tree {
        return Err("what was read is not what was written".into());
    }
    Ok(fs::write(file, &hive)?)
}

/// Both sides do what hivexregedit can do: merge text into a hive, and export a hive as text.
fn peer(place: &Path, rounds: usize) -> Measured<()> {
    let tree = tree(PEER);
    let (hive, text) = (place.join("peer.hive"), place.join("peer.reg"));
    let root: KeyPath = ROOT.parse()?;
    fs::write(&text, reg_text::write(&tree, &root, Encoding::Utf8)?)?;
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..rounds {
        fs::write(&hive, regf::write(&Key::EMPTY, &regf::Header::default())?)?;
        let merge = ["--merge", "--prefix", ROOT];
        times[0].push(timed(Command::new("hivexregedit").args(merge).arg(&hive).arg(&text))?);
        times[1].push(timed(Command::new("hivexregedit").args(["--export", "--prefix", ROOT]).arg(&hive).arg("\\"))?);
        let began = Instant::now();
        let from_text = reg_text::read(&fs::read(&text)?)?.into_tree().remove(&root).ok_or("no root")?;
        fs::write(place.join("ours.hive"), regf::write(&from_text, &regf::Header::default())?)?;
        let (merged, began) = (began.elapsed(), Instant::now());
        let back = regf::read(&fs::read(&hive)?)?.root;
        fs::write(place.join("ours.reg"), reg_text::write(&back, &root, Encoding::Utf8)?)?;
        times[2].push(merged);
        times[3].push(began.elapsed());
    }
    let [their_merge, their_export, our_merge, our_export] = times.each_ref().map(|times| ms(times));
    println!("\n{PEER} keys, text to hive and hive to text, the fastest of {rounds}");
    println!("{:16} {their_merge:>10.1} ms {their_export:>10.1} ms", "hivexregedit");
    println!("{:16} {our_merge:>10.1} ms {our_export:>10.1} ms", "ours");
    Ok(())
}

/// Reads the hive that is named, if one is, and prints the peak of this process's memory.
fn read_hive(files: &[String]) -> crate::Chore {
    if let Some(file) = files.first() {
        regf::read(&fs::read(file)?)?;
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    println!("{}", peak.ok_or("the system does not tell the peak")?.trim());
    Ok(())
}

fn timed(command: &mut Command) -> Measured<Duration> {
    let began = Instant::now();
    shell::run(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    Ok(began.elapsed())
}

/// The fastest: what else the machine does makes short times longer by more than they are.
fn ms(times: &[Duration]) -> f64 {
    times.iter().min().copied().unwrap_or_default().as_secs_f64() * 1000.0
}

/// A hundred keys in each group; a text, a number, a long number, a path and some bytes in each key.
fn tree(keys: usize) -> Key {
    let mut root = Key::default();
    for number in 0..keys {
        let path = format!(r"group {:04}\key {:04}", number / 100, number % 100);
        let key = root.create(&path.parse().expect("a path of a key"));
        key.set_value("Big", Value::new(ValueType::QWORD, number.to_le_bytes().to_vec()));
        key.set_value("Blob", Value::new(ValueType::BINARY, vec![7; 40]));
        key.set_value("Count", Value::dword(number as u32));
        key.set_value("Name", Value::string(&format!("value number {number}")));
        key.set_value("Path", Value::string(r"C:\Program Files\Microsoft Configuration Manager"));
    }
    root
}
