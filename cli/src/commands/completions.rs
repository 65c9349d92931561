//! `sesame completions`: a script that asks the installed program itself at every start of a shell, so that the two
//! never fall out of step.

use crate::{
    args::{Completions, Shell},
    error::{During, Failure},
    exit::Code,
    output,
};

const BASH: &str = "\
# Completion of sesame for bash: the installed program answers.
source <(SESAME_COMPLETE=bash sesame)
";

const ZSH: &str = "\
#compdef sesame
# Completion of sesame for zsh: the installed program answers.
source <(SESAME_COMPLETE=zsh sesame)
# Found by compinit, this file is the body of the completing function, which has to answer its first call too.
if [[ $funcstack[1] == _sesame ]]; then _clap_dynamic_completer_sesame \"$@\"; fi
";

const FISH: &str = "\
# Completion of sesame for fish: the installed program answers.
SESAME_COMPLETE=fish sesame | source
";

pub(super) fn run(args: &Completions) -> Result<Code, Failure> {
    let script = match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    output::write(script.as_bytes()).during("cannot print the completions")?;
    Ok(Code::Success)
}
