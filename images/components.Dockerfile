# Stand-ins for other people's images, for a test cluster that can pull nothing. Never publish them: they hold
# whatever "npm run components" built or found, Consul with its Business Source Licence included.
ARG BASE=docker.io/library/debian:bookworm-slim
FROM ${BASE}
ARG COMPONENT
ARG USER
ARG STOP_SIGNAL
LABEL org.opencontainers.image.title="stand-in for ${COMPONENT}, for tests only"
COPY ${COMPONENT}/ /
# initdb refuses a user without a name; whoever runs it as somebody else has to bring one.
RUN echo "component:x:${USER%%:*}:${USER##*:}::/:/bin/sh" >> /etc/passwd
USER ${USER}
STOPSIGNAL ${STOP_SIGNAL}
ENTRYPOINT ["/usr/local/bin/entrypoint"]
