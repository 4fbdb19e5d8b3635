# The Debian package:
#
#   cmake --build build --target deb        # build/peermesh_0.1.0-1_amd64.deb
#
# One package for a host: the peer, the CA, the command line; units, a configuration that says its defaults, manual
# pages made from --help, rules for Prometheus, a dashboard, the public protos. Its files are the component `peermesh`,
# laid out from the root and in no other installation; `cmake --install` has the programs alone.
#
# The same sources make the same package: times are those of the release, not of the build.
set(PEERMESH_RELEASE_DATE 2026-11-21)
set(PEERMESH_RELEASE_DATE_RFC "Sat, 21 Nov 2026 00:00:00 +0000")

install(TARGETS peermesh RUNTIME)

set(deb ${PROJECT_SOURCE_DIR}/deploy/deb)
set(made ${CMAKE_CURRENT_BINARY_DIR}/deb)
configure_file(${deb}/changelog.in ${made}/changelog @ONLY)

# page(PROGRAM SECTION "ONE LINE"): ${made}/PROGRAM.SECTION.gz
set(pages)
function(peermesh_manual_page program section line)
  set(page ${made}/${program}.${section})
  add_custom_command(
    OUTPUT ${page}.gz
    COMMAND ${deb}/manpage $<TARGET_FILE:${program}> ${section} ${PEERMESH_RELEASE_DATE} ${line} > ${page}
    COMMAND gzip -9nf ${page}
    DEPENDS ${program} ${deb}/manpage
    COMMENT "Manual page of ${program}"
    VERBATIM)
  set(pages ${pages} ${page}.gz PARENT_SCOPE)
  install(FILES ${page}.gz DESTINATION usr/share/man/man${section} COMPONENT peermesh EXCLUDE_FROM_ALL)
endfunction()
peermesh_manual_page(peermesh 1 "messages between hosts without a broker")
peermesh_manual_page(peermeshd 8 "a peer of a PeerMesh")
peermesh_manual_page(peermesh-ca 8 "the issuing CA of a PeerMesh")

foreach(log changelog.gz=${PROJECT_SOURCE_DIR}/CHANGELOG.md changelog.Debian.gz=${made}/changelog)
  string(REGEX MATCH "^([^=]+)=(.+)$" found ${log})
  add_custom_command(
    OUTPUT ${made}/${CMAKE_MATCH_1}
    COMMAND gzip -9nc ${CMAKE_MATCH_2} > ${made}/${CMAKE_MATCH_1}
    DEPENDS ${CMAKE_MATCH_2}
    VERBATIM)
  list(APPEND pages ${made}/${CMAKE_MATCH_1})
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
peermesh_package_files(usr/share/doc/peermesh ${deb}/copyright docs/operations.md docs/concepts.md docs/errors.md)
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
  DEPENDS peermesh peermeshd peermesh-ca ${pages}
  WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
  COMMENT "Making the Debian package"
  VERBATIM)
