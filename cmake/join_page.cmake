# SPDX-License-Identifier: Apache-2.0
# cmake -D OUTPUT=page.html -D TEMPLATE=page.html -D STYLE=page.css -D CHART=chart.js
#       -D "SCRIPTS=a.js|b.js" -P join_page.cmake
# Puts style and scripts into a page. Scripts are modules: as they become one, in the order given,
# their imports of each other and the word export go.
cmake_minimum_required(VERSION 3.25)
string(REPLACE "|" ";" scripts "${SCRIPTS}")
set(joined "")
foreach(script IN LISTS scripts)
  file(READ "${script}" text)
  string(REGEX REPLACE "(^|\n)import [^\n]*(\n  +[^\n]*)*from \"[^\n]*\";" "\\1" text "${text}")
  string(REGEX REPLACE "(^|\n)export " "\\1" text "${text}")
  string(APPEND joined "${text}")
endforeach()
file(READ "${TEMPLATE}" page)
file(READ "${STYLE}" style)
file(READ "${CHART}" chart)
# What was not in the page when it was built has no such number, and is not run.
string(SHA256 nonce "${joined}")
string(REPLACE "@NONCE@" "${nonce}" page "${page}")
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@CHART@" "${chart}" page "${page}")
string(REPLACE "@SCRIPT@" "${joined}" page "${page}")
file(WRITE "${OUTPUT}" "${page}")
