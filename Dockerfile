# refire in an image of its own: docker build -t refire . && docker run --rm -v "$PWD:/work" refire run
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin refire && strip target/release/refire

FROM debian:bookworm-slim
# Certificates for `https:` and `hf:`, pip for `pip:`, git for comparisons with revisions.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/refire /usr/local/bin/refire
WORKDIR /work
ENTRYPOINT ["refire"]
CMD ["help"]
