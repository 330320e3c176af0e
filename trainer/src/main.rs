//! The binary `peft-trainer`.

fn main() -> std::process::ExitCode {
    autopeft_trainer::cli::main()
}
