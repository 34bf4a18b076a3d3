# SPDX-License-Identifier: Apache-2.0
# `cmake --install build/release --prefix /usr`: what a terminal gets (component terminal), what
# the ops side gets (component ops), and what builds payment applications (component dev).
include(GNUInstallDirs)
install(TARGETS muster-agent muster-link muster-helper muster muster-keys-pkcs11
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT terminal)
install(TARGETS muster_shared
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT terminal NAMELINK_COMPONENT dev)
install(FILES agent/client.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/muster COMPONENT dev)
install(TARGETS musterd musterctl
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ops)
install(FILES packaging/systemd/muster-agent.service packaging/systemd/muster-link.service
  packaging/systemd/muster-helper.service
  DESTINATION lib/systemd/system COMPONENT terminal)
install(FILES packaging/systemd/musterd.service DESTINATION lib/systemd/system COMPONENT ops)
install(FILES packaging/sample/agent.conf packaging/sample/link.conf
  packaging/sample/keys-pkcs11.conf packaging/sample/helper.conf
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/muster/examples COMPONENT terminal)
install(PROGRAMS packaging/sample/validate-hook packaging/sample/gate-hook
  packaging/sample/key-loader
  packaging/sample/install-rauc packaging/sample/install-swupdate packaging/sample/install-own
  packaging/sample/version-hook
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/muster/examples COMPONENT terminal)
install(FILES packaging/operations.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/muster COMPONENT ops)
install(FILES packaging/sample/musterd.conf
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/muster/examples COMPONENT ops)
