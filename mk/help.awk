# Prints the targets of a Makefile that carry a `## comment`, under their `##@ headings`.
BEGIN { FS = ":.*## " }
/^##@ / { printf "\n%s\n", substr($0, 5) }
/^[a-z][a-z-]*:.*## / { printf "  make %-15s %s\n", $1, $2 }
END { print "" }
