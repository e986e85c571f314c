// threads.rs - scoped threads, channels, locks, atomics, commands; prints totals only
use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::thread;
use std::time::Duration;

fn main() {
    let sum = AtomicU64::new(0);
    let table = RwLock::new(HashMap::new());
    thread::scope(|s| {
        for i in 0..64u64 {
            let (sum, table) = (&sum, &table);
            s.spawn(move || {
                for k in 0..200 {
                    sum.fetch_add(i * k, Ordering::Relaxed);
                    *table.write().unwrap().entry(k).or_insert(0u64) += i;
                    thread::yield_now();
                }
            });
        }
    });
    println!("sum {} table {}", sum.load(Ordering::Relaxed), table.read().unwrap().values().sum::<u64>());
    let (sender, receiver) = mpsc::sync_channel::<u64>(3);
    let producers: Vec<_> = (0..16)
        .map(|i| {
            let sender = sender.clone();
            thread::spawn(move || (0..500).for_each(|k| sender.send(i * k).unwrap()))
        })
        .collect();
    drop(sender);
    println!("channel {}", receiver.iter().sum::<u64>());
    producers.into_iter().for_each(|p| p.join().unwrap());
    let pair = Arc::new((Mutex::new(0u32), Condvar::new()));
    let barrier = Arc::new(Barrier::new(8));
    let turns: Vec<_> = (0..8u32)
        .map(|me| {
            let (pair, barrier) = (pair.clone(), barrier.clone());
            thread::spawn(move || {
                let leader = barrier.wait().is_leader();
                for _ in 0..300 {
                    let mut turn = pair.0.lock().unwrap();
                    while *turn % 8 != me {
                        turn = pair.1.wait_timeout(turn, Duration::from_secs(60)).unwrap().0;
                    }
                    *turn += 1;
                    pair.1.notify_all();
                }
                leader as u32
            })
        })
        .collect();
    let leaders: u32 = turns.into_iter().map(|t| t.join().unwrap()).sum();
    println!("turns {} leaders {}", pair.0.lock().unwrap(), leaders);
    let out: u32 = (0..8u32)
        .map(|i| thread::spawn(move || Command::new("echo").arg(i.to_string()).output().unwrap()))
        .map(|t| String::from_utf8(t.join().unwrap().stdout).unwrap().trim().parse::<u32>().unwrap())
        .sum();
    let panicked = thread::spawn(|| -> () { std::panic::resume_unwind(Box::new(1)) }).join().is_err();
    println!("commands {} panicked {}", out, panicked);
}
