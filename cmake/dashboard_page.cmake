# SPDX-License-Identifier: Apache-2.0
# The library bw_dashboard_page: the page at "/" of a server, in the program, so that what is
# installed needs no files. The page itself is ${BATCHWISE_DASHBOARD_HTML}.
find_file(BATCHWISE_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js
          DOC "Chart.js 3, of Debian's libjs-chart.js" REQUIRED NO_DEFAULT_PATH)

set(folder ${CMAKE_SOURCE_DIR}/web/dashboard)
# In the order of who needs whom.
set(scripts)
foreach(name numbers elements statistics history connection charts tensors view try_form main)
  list(APPEND scripts ${folder}/${name}.js)
endforeach()
set(BATCHWISE_DASHBOARD_HTML ${CMAKE_BINARY_DIR}/dashboard.html)
set(code ${CMAKE_CURRENT_BINARY_DIR}/dashboard_page.cc)
string(REPLACE ";" "|" joined_scripts "${scripts}")
add_custom_command(
  OUTPUT ${code}
  BYPRODUCTS ${BATCHWISE_DASHBOARD_HTML}
  COMMAND ${CMAKE_COMMAND} -D OUTPUT=${BATCHWISE_DASHBOARD_HTML}
          -D TEMPLATE=${folder}/dashboard.html -D STYLE=${folder}/dashboard.css
          -D CHART=${BATCHWISE_CHART_JS} -D "SCRIPTS=${joined_scripts}"
          -P ${CMAKE_SOURCE_DIR}/cmake/join_page.cmake
  COMMAND ${CMAKE_COMMAND} -D OUTPUT=${code} -D HEADER=serve/http/dashboard_page.h
          -D TEXTS=kDashboardPage=${BATCHWISE_DASHBOARD_HTML}
          -P ${CMAKE_SOURCE_DIR}/cmake/embed_text.cmake
  DEPENDS ${scripts} ${folder}/dashboard.html ${folder}/dashboard.css ${BATCHWISE_CHART_JS}
          ${CMAKE_SOURCE_DIR}/cmake/join_page.cmake ${CMAKE_SOURCE_DIR}/cmake/embed_text.cmake
  COMMENT "Embedding the dashboard"
  VERBATIM)
add_library(bw_dashboard_page STATIC ${code})
target_link_libraries(bw_dashboard_page PUBLIC bw_flags)
