# A segment of the prompt: the unlocked profiles, from the flags that daemon-secrets keeps while systemd runs it. No
# program is started. For bash: source this file, then put $(sesame_prompt) into PS1, as
#
#   PS1='$(sesame_prompt)\w\$ '
sesame_prompt() {
    for sesame_flag in "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"/open-sesame/unlocked/*; do
        # Where there is no flag, the pattern stands for itself.
        [ -e "$sesame_flag" ] && printf '[%s] ' "${sesame_flag##*/}"
    done
    unset sesame_flag
}
