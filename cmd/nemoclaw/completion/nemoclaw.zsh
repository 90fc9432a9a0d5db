#compdef nemoclaw
# zsh completion for nemoclaw
_nemoclaw() {
  local -a found
  local current=${words[-1]}
  if [[ $current == -* ]]; then
    found=("${(@f)$(${words[@]:0:#words[@]-1} $current --generate-bash-completion 2>/dev/null)}")
  else
    found=("${(@f)$(${words[@]:0:#words[@]-1} --generate-bash-completion 2>/dev/null)}")
  fi
  if [[ -n ${found[1]} ]]; then
    _describe values found
  else
    _files
  fi
}
if [[ $funcstack[1] == _nemoclaw ]]; then _nemoclaw "$@"; else compdef _nemoclaw nemoclaw; fi
