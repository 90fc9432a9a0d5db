# fish completion for nemoclaw
function __nemoclaw_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    if string match -q -- '-*' $current
        set -a words $current
    end
    $words --generate-bash-completion 2>/dev/null
end
complete -c nemoclaw -f -a '(__nemoclaw_complete)'
complete -c nemoclaw -l config -r -F
