# The Debian package:
#
#   cmake --build build --target deb        # build/peermesh_0.1.0-1_amd64.deb
#
# One package for a host: the peer, the CA, the command line; units, a configuration that says its defaults, manual
# pages and completions made by the programs, rules for Prometheus, a dashboard, the public protos. Its files are the
# component `peermesh`, laid out from the root and in no other installation; `cmake --install` has the programs, their
# manual and completions.
#
# The same sources make the same package: times are those of the release, not of the build.
set(PEERMESH_RELEASE_DATE 2026-11-21)
set(PEERMESH_RELEASE_DATE_RFC "Sat, 21 Nov 2026 00:00:00 +0000")

install(TARGETS peermesh RUNTIME)

set(deb ${PROJECT_SOURCE_DIR}/deploy/deb)
set(made ${CMAKE_CURRENT_BINARY_DIR}/deb)
configure_file(${deb}/changelog.in ${made}/changelog @ONLY)

# The manual and the completions: what the programs say of themselves, so neither can differ from them.
set(man ${made}/man)
set(daemon_pages)
foreach(daemon peermeshd peermesh-ca)
  list(APPEND daemon_pages
    COMMAND ${PROJECT_SOURCE_DIR}/deploy/man/daemon-page $<TARGET_FILE:${daemon}> ${PROJECT_SOURCE_DIR}/deploy/man/${daemon}.8.in
            ${PEERMESH_RELEASE_DATE} > ${man}/man8/${daemon}.8)
endforeach()
add_custom_command(
  OUTPUT ${made}/manual.stamp
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${man}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${man}/man1 ${man}/man8
  COMMAND write_manual ${man}/man1 ${PEERMESH_RELEASE_DATE}
  ${daemon_pages}
  COMMAND gzip -9nr ${man}
  COMMAND ${CMAKE_COMMAND} -E touch ${made}/manual.stamp
  DEPENDS write_manual peermeshd peermesh-ca ${PROJECT_SOURCE_DIR}/deploy/man/daemon-page
          ${PROJECT_SOURCE_DIR}/deploy/man/peermeshd.8.in ${PROJECT_SOURCE_DIR}/deploy/man/peermesh-ca.8.in
  COMMENT "Making the manual"
  VERBATIM)
set(completions)
# completion(SHELL FILE FOLDER PACKAGE_FOLDER): Debian has a folder of its own for what packages bring to zsh.
function(peermesh_completion shell file folder package_folder)
  set(script ${made}/completions/${shell}/${file})
  add_custom_command(
    OUTPUT ${script}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${made}/completions/${shell}
    COMMAND peermesh completion ${shell} > ${script}
    DEPENDS peermesh
    VERBATIM)
  set(completions ${completions} ${script} PARENT_SCOPE)
  install(FILES ${script} DESTINATION share/${folder})
  install(FILES ${script} DESTINATION usr/share/${package_folder} COMPONENT peermesh EXCLUDE_FROM_ALL)
endfunction()
peermesh_completion(bash peermesh bash-completion/completions bash-completion/completions)
peermesh_completion(zsh _peermesh zsh/site-functions zsh/vendor-completions)
peermesh_completion(fish peermesh.fish fish/vendor_completions.d fish/vendor_completions.d)
add_custom_target(manual ALL DEPENDS ${made}/manual.stamp ${completions})
install(DIRECTORY ${man}/ DESTINATION share/man)
install(DIRECTORY ${man}/ DESTINATION usr/share/man COMPONENT peermesh EXCLUDE_FROM_ALL)

set(logs)
foreach(log changelog.gz=${PROJECT_SOURCE_DIR}/CHANGELOG.md changelog.Debian.gz=${made}/changelog)
  string(REGEX MATCH "^([^=]+)=(.+)$" found ${log})
  add_custom_command(
    OUTPUT ${made}/${CMAKE_MATCH_1}
    COMMAND gzip -9nc ${CMAKE_MATCH_2} > ${made}/${CMAKE_MATCH_1}
    DEPENDS ${CMAKE_MATCH_2}
    VERBATIM)
  list(APPEND logs ${made}/${CMAKE_MATCH_1})
  install(FILES ${made}/${CMAKE_MATCH_1} DESTINATION usr/share/doc/peermesh COMPONENT peermesh EXCLUDE_FROM_ALL)
endforeach()

function(peermesh_package_files destination)
  install(FILES ${ARGN} DESTINATION ${destination} COMPONENT peermesh EXCLUDE_FROM_ALL)
endfunction()
install(TARGETS peermesh RUNTIME DESTINATION usr/bin COMPONENT peermesh EXCLUDE_FROM_ALL)
install(TARGETS peermeshd peermesh-ca RUNTIME DESTINATION usr/bin COMPONENT peermesh EXCLUDE_FROM_ALL)
peermesh_package_files(lib/systemd/system deploy/systemd/peermeshd.service deploy/systemd/peermesh-ca.service)
peermesh_package_files(etc/peermesh ${deb}/peermesh.yaml)
install(FILES ${deb}/peermesh-ca.default DESTINATION etc/default RENAME peermesh-ca COMPONENT peermesh EXCLUDE_FROM_ALL)
peermesh_package_files(usr/share/doc/peermesh ${deb}/copyright docs/operations.md docs/cli.md docs/concepts.md
  docs/errors.md)
install(FILES ${deb}/lintian-overrides DESTINATION usr/share/lintian/overrides RENAME peermesh
        COMPONENT peermesh EXCLUDE_FROM_ALL)
peermesh_package_files(usr/share/peermesh/prometheus
  deploy/prometheus/alerts.yaml deploy/prometheus/recording.yaml deploy/prometheus/prometheus.yaml)
peermesh_package_files(usr/share/peermesh/grafana deploy/grafana/peermesh.json)
foreach(folder peermesh/v1 google/rpc)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/protos/${folder}/ DESTINATION usr/share/peermesh/protos/${folder}
          COMPONENT peermesh EXCLUDE_FROM_ALL FILES_MATCHING PATTERN "*.proto")
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME peermesh)
set(CPACK_PACKAGE_CONTACT "The PeerMesh authors <maintainers@peermesh.dev>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "messages between services on any hosts, without a broker")
set(CPACK_PACKAGE_DESCRIPTION
"One daemon per host. Peers find each other, prove who they are by mutual TLS,
and keep links; a program in any language that gRPC speaks talks to the peer on
its host and reaches every program on every other.
.
The package has the peer, its certificate authority, and the command line.
Nothing is started: /usr/share/doc/peermesh/operations.md says how to begin.")
set(CPACK_PACKAGE_HOMEPAGE_URL https://peermesh.dev)
# From the root, this component only, without a directory of its own in the archive.
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};peermesh;peermesh;/")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${deb}/conffiles;${deb}/postinst;${deb}/prerm;${deb}/postrm")
include(CPack)

add_custom_target(deb
  COMMAND ${CMAKE_COMMAND} -E env SOURCE_DATE_EPOCH=1795219200 ${CMAKE_CPACK_COMMAND} --config CPackConfig.cmake
  DEPENDS peermesh peermeshd peermesh-ca manual ${logs}
  WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
  COMMENT "Making the Debian package"
  VERBATIM)
