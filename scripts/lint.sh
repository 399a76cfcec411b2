#!/bin/bash
# Formatting, clang-tidy and cppcheck over the C++ sources. Non-zero when any of them has something to say.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
mapfile -t files < <(find src tests fuzz bench -name '*.cc' -o -name '*.hh' | sort)

clang-format-16 --dry-run -Werror "${files[@]}" || status=1
scripts/tidy.py build || status=1
cppcheck --std=c++20 --language=c++ --enable=warning,performance,portability --inline-suppr --quiet --error-exitcode=1 \
  --suppress=missingIncludeSystem -j "$(nproc)" -I src src || status=1
/usr/bin/python3 tests/unit/layering_test.py || status=1
exit $status
