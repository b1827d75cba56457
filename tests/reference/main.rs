//! Parity with other tools: numbers in this folder, made by the scripts beside them.

mod batch_norm;
mod bert;
mod image_training;
mod imagenet;
mod lessons;
mod lora;
mod pairs;
mod preparation;
mod rates;
mod similar;
mod tasks;
mod text;
mod vision;
mod wheels;
mod words;

#[path = "../needs.rs"]
mod needs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
