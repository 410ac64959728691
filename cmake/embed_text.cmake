# SPDX-License-Identifier: Apache-2.0
# cmake -D OUTPUT=out.cc -D HEADER=folder/header.h -D "TEXTS=kName=file|kOther=file" -P embed_text.cmake
# Writes text files as string_view constants. Long literals are cut, as compilers bound their length.
string(REPLACE "|" ";" texts "${TEXTS}")
set(code "#include \"${HEADER}\"\nnamespace batchwise {\n")
foreach(text IN LISTS texts)
  string(REGEX MATCH "^([^=]+)=(.*)$" ignored "${text}")
  set(name "${CMAKE_MATCH_1}")
  file(READ "${CMAKE_MATCH_2}" hex HEX)
  string(LENGTH "${hex}" length)
  math(EXPR bytes "${length} / 2")
  string(REGEX REPLACE "(................................................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND code "static constexpr unsigned char ${name}Bytes[] = {\n${hex}0};\n"
         "const std::string_view ${name}(reinterpret_cast<const char*>(${name}Bytes), ${bytes});\n")
endforeach()
file(WRITE "${OUTPUT}" "${code}}  // namespace batchwise\n")
