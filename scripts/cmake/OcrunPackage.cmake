# OcrunPackage.cmake - installation of the program and what goes with it, and the Debian package (cpack -G DEB)
include(GNUInstallDirs)
install(PROGRAMS ${CMAKE_BINARY_DIR}/ocrun ${CMAKE_BINARY_DIR}/ocrun-view DESTINATION ${CMAKE_INSTALL_BINDIR})  # the views look beside ocrun
# Where Debian's gdb loads it by itself for /usr/bin/ocrun; under another prefix it is to be sourced.
install(FILES scripts/gdb/ocrun-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb/auto-load/usr/bin)
install(FILES scripts/man/ocrun.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES scripts/completions/ocrun.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ocrun)
install(FILES scripts/completions/_ocrun DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES README.md ARCHITECTURE.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES config/policy.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/ocrun)
install(DIRECTORY config/examples DESTINATION ${CMAKE_INSTALL_DOCDIR}/policies)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ocrun)
set(CPACK_PACKAGE_CONTACT "ocrun maintainers <ocrun@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "run programs with their threads as coroutines")
set(CPACK_PACKAGE_DESCRIPTION "ocrun runs an unmodified Linux program so that every thread of it is a coroutine of a scheduler in
 user space. With libocrun, the task API for C and C++, its headers and examples.")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_STRIP_FILES OFF)  # gdb and the views want the symbols; the note they search for survives a strip
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};ocrun;ALL;/")
include(CPack)
