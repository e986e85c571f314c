# ocrun.bash - completion of ocrun for bash; source it, or install it as .../bash-completion/completions/ocrun

_ocrun() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
    COMPREPLY=()

    # where the program begins: the first word that is neither an option nor an option's value
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -c | --config | -w | --workers | --io-backend) ((i++)) ;;
            --) ((i++)); break ;;
            -*) ;;
            *) break ;;
        esac
    done
    if ((i < COMP_CWORD)); then
        if ((i == 1)); then
            case ${COMP_WORDS[1]} in
                check)
                    if [[ $word == -* ]]; then
                        mapfile -t COMPREPLY < <(compgen -W '--explain --help' -- "$word")
                    else
                        mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$word"; compgen -d -- "$word")
                    fi
                    return ;;
                dump | ps | top | stacks | stat | trace | flame | watch | bpf)
                    mapfile -t COMPREPLY < <(compgen -W "--help $(cd /proc && echo [0-9]*)" -- "$word")
                    return ;;
            esac
        fi
        if declare -F _command_offset >/dev/null; then
            _command_offset "$i" # the program's own completion
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
        fi
        return
    fi

    case $previous in
        -c | --config) mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$word"; compgen -d -- "$word"); return ;;
        -w | --workers) mapfile -t COMPREPLY < <(compgen -W "0 1 2 4 8" -- "$word"); return ;;
        --io-backend) mapfile -t COMPREPLY < <(compgen -W 'auto io_uring epoll' -- "$word"); return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-c --config -w --workers --io-backend --no-rewrite --bpf --help --version --' -- "$word")
        return
    fi
    local commands=''
    ((COMP_CWORD == 1)) && commands='check dump ps top stacks stat trace flame watch bpf'
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word"; compgen -c -- "$word"; compgen -f -- "$word")
}
complete -o filenames -F _ocrun ocrun
