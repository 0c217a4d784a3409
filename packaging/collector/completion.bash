# bash completion of website-monitor-collector
_website_monitor_collector() {
    local words="run check-config config-schema migrate upkeep verify report rejected agents alerts version --help" word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case "$before" in
        -c | --config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --format) words="table csv json" ;;
        rejected) words="list show replay" ;;
        agents) words="list retire" ;;
        alerts) words="list test" ;;
        *)
            case "${COMP_WORDS[1]}" in
                run | check-config | migrate | upkeep) words="-c --config --help" ;;
                verify) words="-c --config --since --agent --format --help" ;;
                report) words="-c --config --from --to --last --monitor --agent --by-agent --format --help" ;;
                rejected) words="-c --config --reason --format --all --help" ;;
                agents) words="-c --config --format --since --help" ;;
                alerts) words="-c --config --format --receiver --help" ;;
                config-schema | version) words="--help" ;;
            esac
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _website_monitor_collector website-monitor-collector
