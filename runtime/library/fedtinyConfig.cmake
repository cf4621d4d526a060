include("${CMAKE_CURRENT_LIST_DIR}/fedtinyTargets.cmake")
