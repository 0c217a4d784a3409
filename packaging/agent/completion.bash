# bash completion of website-monitor-agent
_website_monitor_agent() {
    local words="run check-config config-schema once outbox version --help" word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case "$before" in
        -c | --config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --format) words="table json" ;;
        outbox) words="status export import" ;;
        export | import) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        *)
            case "${COMP_WORDS[1]}" in
                run) words="-c --config --help" ;;
                check-config | outbox) words="-c --config --format --help" ;;
                once) words="-c --config --format -m --monitor --help" ;;
                config-schema | version) words="--help" ;;
            esac
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _website_monitor_agent website-monitor-agent
