# bash completion for nemoclaw
_nemoclaw() {
  local cur words
  cur=${COMP_WORDS[COMP_CWORD]}
  words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  case $cur in -*) words+=("$cur") ;; esac
  mapfile -t COMPREPLY < <(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur")
}
complete -o default -F _nemoclaw nemoclaw
