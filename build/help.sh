# Sourced by the scripts here and by those of test/: with --help or -h each shows what stands at its beginning, and does nothing.
case ${1-} in
-h | --help)
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
    exit 0
    ;;
esac
