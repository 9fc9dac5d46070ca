//! The command `weatherflow`.

fn main() -> std::process::ExitCode {
    engine::cli::main()
}
